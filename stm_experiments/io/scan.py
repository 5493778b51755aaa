"""One image channel of a microscope file: numbers in SI units, and what is known about them."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from stm_experiments.core.arrays import Array
from stm_experiments.core.display.page import as_html, as_image
from stm_experiments.core.files import atomic_write
from stm_experiments.core.images import ImageError
from stm_experiments.core.units import amount
from stm_experiments.io.export import write_npy, write_png, write_tiff
from stm_experiments.io.metadata import Metadata, describe, describe_image, write_texts
from stm_experiments.io.preview import preview
from stm_experiments.io.trace import Picture, Unreadable
from stm_experiments.io.vendors.gsf import write_gsf
from stm_experiments.io.vendors.gwyddion import write_gwy
from stm_experiments.io.vendors.nexus import write_nexus


class ScanError(ImageError):
    """A file that cannot be used; the message is one sentence that names it."""


class NotAScanError(ScanError):
    """A file that is no scan, or of a format that is not read; a batch passes it over."""


@dataclass(frozen=True, eq=False, repr=False)  # arrays have no single answer to ==
class Scan:
    """One channel of a scan.

    Attributes:
        data: [H, W] in ``unit``. Axis 0 is the slow axis, row 0 at the top as in the microscope's
            own program; axis 1 is the fast axis, left to right. Finite everywhere.
        mask: [H, W], True where measured; elsewhere ``data`` is the median of what is measured.
        unit: Of the data, SI: ``"m"`` for heights, ``"A"`` for currents, ``"V"``; ``""`` unknown.
        pixel_size: nm per px along axes 0 and 1; None: unknown.
        channel: Name of the channel in the file.
        direction: ``"forward"`` or ``"backward"`` (already unmirrored); ``"/down"`` is appended for
            the second pass of a microscope that scans up and down again.
        channels: Names of all channels in the file.
        history: One line for each step that changed the data since the microscope's file was read;
            ``.gwy`` and ``.tif`` keep it.
        name: File name without its folder.
        source: The file from which the data were read; None once they have been changed.
        metadata: What the file says of the measurement, with units in its keys, such as ``bias_V``,
            ``setpoint_A``, ``angle_deg``, ``date``, ``instrument`` and ``comment``; ``size_nm``,
            height and width, follows from the pixel size.
    """

    data: NDArray[np.float64]
    mask: NDArray[np.bool_]
    unit: str
    pixel_size: tuple[float, float] | None
    channel: str
    direction: str = "forward"
    channels: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    name: str = ""
    source: Path | None = None
    metadata: Metadata = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the size into the metadata, so that it is true of a part of a scan too."""
        others = {key: value for key, value in self.metadata.items() if key != "size_nm"}
        size = {}
        if self.pixel_size is not None:
            sides = zip(self.pixel_size, self.mask.shape, strict=True)
            size = {"size_nm": tuple(pixel * side for pixel, side in sides)}
        object.__setattr__(self, "metadata", size | others)

    def __repr__(self) -> str:
        """Say in one line what it is, without its arrays."""
        return f"<{type(self).__name__} {self.name or 'scan'}: {', '.join(self.facts)}>"

    def _repr_html_(self) -> str:
        """Show a picture and the facts in a notebook."""
        return self.html()

    def html(self, pictures: Mapping[str, Array] | None = None, remarks: Sequence[str] = ()) -> str:
        """Return small pictures, the facts, the metadata and remarks as HTML.

        Args:
            pictures: Heights [H, W] in the scan's unit, by their title; None: those of the scan.
            remarks: Lines of text.
        """
        lines = [*self.facts, *describe(self.metadata), *remarks]
        shown = pictures or {"": self.data}
        images = [self._picture(title, heights) for title, heights in shown.items()]
        return as_html(self.name or "scan", images, lines)

    def _picture(self, title: str, heights: Array) -> str:
        """Return a small picture of heights without their plane, with a line below it, as HTML."""
        small = preview(heights, self.mask, self.pixel_size or (1.0, 1.0))
        span = amount(small.span, self.unit)
        start = f"{title}, " if title else ""
        return as_image(small.png, f"{start}without its plane: {span} from dark to bright")

    @property
    def facts(self) -> list[str]:
        """Channel, size in px and nm, range of the values, and the share that was measured."""
        image = describe_image(self.data, self.mask, self.unit, self.pixel_size)
        return [f"{self.channel} ({self.direction})", *image]

    def with_data(self, data: NDArray[Any], *steps: str) -> "Scan":
        """Return a copy with other data.

        Args:
            data: [H, W] real numbers, in the scan's unit; becomes float64.
            steps: What was done to the data; one line of history each.

        Raises:
            ValueError: If the data have another shape.
        """
        data = np.asarray(data, np.float64)
        if data.shape != self.mask.shape:
            raise ValueError(f"data of shape {data.shape} for a scan of {self.mask.shape}.")
        return replace(self, data=data, history=(*self.history, *steps), source=None)

    def to_xarray(self) -> Any:
        """Return the scan as an ``xarray.DataArray``, NaN where not measured.

        Its dimensions are ``y`` and ``x``, in nm where the pixel size is known, else in px, from
        the centre of the first pixel; what is known of the measurement is in ``attrs``.

        Raises:
            ModuleNotFoundError: If xarray is not installed.
        """
        try:
            xarray = import_module("xarray")
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "to_xarray needs xarray: pip install 'stm_experiments[notebooks]'"
            ) from None
        unit = "px" if self.pixel_size is None else "nm"
        height, width = self.pixel_size or (1.0, 1.0)
        rows, columns = self.data.shape
        sides = {"y": height * np.arange(rows), "x": width * np.arange(columns)}
        coordinates = {name: (name, values, {"units": unit}) for name, values in sides.items()}
        about = {"units": self.unit, "direction": self.direction, **self.metadata}
        values = np.where(self.mask, self.data, np.nan)
        return xarray.DataArray(values, coordinates, ("y", "x"), self.channel, about)

    def save(self, path: str | Path) -> None:
        """Write the scan to a new file; the suffix chooses the format.

        ``.npy``: float64 data alone. ``.tif``, ``.tiff``: float32, with pixel size, unit, channel
        history and metadata in an ImageJ description. ``.gwy``: Gwyddion's format, with all of
        that. ``.gsf``: Gwyddion's simple format, float32, with all of that. ``.nxs``: NeXus after
        the application definition NXstm, with all of that; it needs h5py.
        ``.png``: 16-bit grey from the lowest to the highest measured value, for a look: units,
        pixel size and history are lost. Pixels that were not measured are NaN in ``.npy``,
        ``.tif``, ``.gsf`` and ``.nxs``, masked in ``.gwy`` and black in ``.png``.

        Args:
            path: Must not exist.

        Raises:
            ScanError: If the file exists, cannot be written, is of another format, or would be
                larger than its format allows.
        """
        path = Path(path)
        writer = WRITERS.get(path.suffix.lower())
        if writer is None:
            raise ScanError(f"{path}: cannot write '{path.suffix}', use {', '.join(WRITERS)}.")
        try:
            if os.path.lexists(path):
                raise ScanError(f"{path}: exists already, and is not written over.")
            with atomic_write(path) as file:
                writer(file, self)
        except Unreadable as error:
            raise ScanError(f"{path}: {error}.") from None
        except OSError as error:
            raise ScanError(f"{path}: cannot be written ({error.strerror}).") from error


def check_pixel_size(pixel_size: tuple[float, float] | None) -> None:
    """Refuse a size of a pixel that no microscope can have.

    Args:
        pixel_size: nm per px along axes 0 and 1; None: unknown.

    Raises:
        ScanError: If it is not two finite numbers above 0.
    """
    if pixel_size is None:
        return
    try:
        valid = len(pixel_size) == 2 and all(0 < float(size) < math.inf for size in pixel_size)
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ScanError(
            f"the size of a pixel is two finite numbers above 0 (nm), not {pixel_size!r}."
        )


def _picture(scan: Scan) -> Picture:
    return Picture(scan.data, scan.mask, scan.unit, scan.pixel_size)


def _about(scan: Scan) -> dict[str, Any]:
    return {
        "channel": scan.channel,
        "direction": scan.direction,
        "value_unit": scan.unit,
        "history": scan.history,
        "metadata": {key: value for key, value in scan.metadata.items() if key != "size_nm"},
    }


def _texts(scan: Scan, separator: str) -> dict[str, str]:
    """Return title, source, metadata and history, for formats that keep texts alone."""
    way = {"forward": "", "backward": " (Backward)", "forward/down": " (Forward Down)"}
    return {
        "Title": scan.channel + way.get(scan.direction, " (Backward Down)"),
        "Source": scan.name,
        **write_texts(scan.metadata),
        "History": separator.join(scan.history),
    }


def _tiff(file: BinaryIO, scan: Scan) -> None:
    write_tiff(file, scan.data, scan.mask, scan.pixel_size, _about(scan))


def _gwy(file: BinaryIO, scan: Scan) -> None:
    write_gwy(file, _picture(scan), _texts(scan, "\n"))


def _gsf(file: BinaryIO, scan: Scan) -> None:
    write_gsf(file, _picture(scan), _texts(scan, " | "))


def _nexus(file: BinaryIO, scan: Scan) -> None:
    write_nexus(file, _picture(scan), _about(scan))


WRITERS: dict[str, Callable[[BinaryIO, Scan], None]] = {
    ".npy": lambda file, scan: write_npy(file, scan.data, scan.mask),
    ".tif": _tiff,
    ".tiff": _tiff,
    ".gwy": _gwy,
    ".gsf": _gsf,
    ".nxs": _nexus,
    ".png": lambda file, scan: write_png(file, scan.data, scan.mask),
}
