"""One image channel of a microscope file: numbers in SI units, and what is known about them."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from stm_experiments.core.images import ImageError
from stm_experiments.io.trace import Unreadable
from stm_experiments.io.vendors import gwyddion


class ScanError(ImageError):
    """A file that cannot be used; the message is one sentence that names it."""


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Scan:
    """One channel of a scan.

    Attributes:
        data: ``[H,W]`` in ``unit``. Axis 0 is the slow axis, row 0 at the top as the microscope's
            own program shows it; axis 1 is the fast axis, left to right. Finite everywhere.
        mask: ``[H,W]``, True where measured; elsewhere ``data`` is the median of what is measured.
        unit: Of the data, SI: ``"m"`` for heights, ``"A"`` for currents, ``"V"``; ``""`` unknown.
        pixel_size: nm per px along axes 0 and 1; None: unknown.
        channel: Name of the channel in the file.
        direction: ``"forward"`` or ``"backward"`` (already unmirrored); with ``"/down"`` behind it
            for the second pass of a microscope that scans up and down again.
        channels: Names of all channels in the file.
        history: One line for each thing that was done to the data since the microscope's file was
            read; ``.gwy`` and ``.tif`` keep it.
        name: File name without its folder.
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

    def with_data(self, data: NDArray[Any], *did: str) -> "Scan":
        """Put new data in.

        Args:
            data: ``[H,W]`` real numbers, in the scan's unit.
            did: What was done to get it; one line of history each.

        Returns:
            A copy with this data (float64) and a longer history.
        """
        data = np.asarray(data, np.float64)
        if data.shape != self.mask.shape:
            raise ValueError(f"data of shape {data.shape} for a scan of {self.mask.shape}.")
        return replace(self, data=data, history=(*self.history, *did))

    def save(self, path: str | Path) -> None:
        """Write the scan to a new file; the suffix chooses the format.

        ``.npy``: float64 data alone. ``.tif``, ``.tiff``: float32, with pixel size, unit, channel
        and history in an ImageJ description. ``.gwy``: Gwyddion's format, all of it. ``.png``:
        16-bit grey from the lowest to the highest measured value, to look at: units, pixel size and
        history are lost. Pixels that were not measured are NaN in the first two, masked in
        Gwyddion's and black in the last.

        Args:
            path: Must not exist.

        Raises:
            ScanError: If the file exists, cannot be written, is of another format, or needs a
                library that is not installed.
        """
        path = Path(path)
        writer = WRITERS.get(path.suffix.lower())
        if writer is None:
            raise ScanError(f"{path}: cannot write '{path.suffix}', use {', '.join(WRITERS)}.")
        try:
            content = writer(self)  # before the file is made, so that a failure leaves none
            with path.open("xb") as file:
                file.write(content)
        except Unreadable as error:
            raise ScanError(f"{path}: {error}.") from None
        except FileExistsError:
            raise ScanError(f"{path}: exists already, and is not written over.") from None
        except OSError as error:
            raise ScanError(f"{path}: cannot be written ({error.strerror}).") from error


def _npy(scan: Scan) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.where(scan.mask, scan.data, np.nan), allow_pickle=False)
    return buffer.getvalue()


def _tiff(scan: Scan) -> bytes:
    about = {
        "channel": scan.channel,
        "direction": scan.direction,
        "value_unit": scan.unit,
        "history": scan.history,
    }
    resolution, lateral = None, {}
    if scan.pixel_size is not None:
        height, width = scan.pixel_size
        resolution = (1 / width, 1 / height)  # px per unit, a ratio of two 32-bit integers
        lateral = {"unit": "nm", "pixel_size_nm": json.dumps(scan.pixel_size)}
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        np.where(scan.mask, scan.data, np.nan).astype(np.float32),
        imagej=True,  # the description that Fiji, Gwyddion and we read
        resolution=resolution,
        metadata={**lateral, "scan": json.dumps(about)},
    )
    return buffer.getvalue()


def _gwy(scan: Scan) -> bytes:
    backward = scan.direction.startswith("backward")
    return gwyddion.encode(
        scan.data,
        scan.mask,
        scan.unit,
        scan.pixel_size,
        f"{scan.channel} (Backward)" if backward else scan.channel,
        {"Source": scan.name, "History": "\n".join(scan.history)},
    )


def _png(scan: Scan) -> bytes:
    measured = scan.data[scan.mask]
    low, high = measured.min(), measured.max()
    grey = (scan.data - low) / (high - low if high > low else 1.0)
    grey = np.where(scan.mask, np.clip(grey, 0, 1), 0) * (2**16 - 1)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(grey).astype(np.uint16)).save(buffer, format="PNG")
    return buffer.getvalue()


WRITERS: dict[str, Callable[[Scan], bytes]] = {
    ".npy": _npy,
    ".tif": _tiff,
    ".tiff": _tiff,
    ".gwy": _gwy,
    ".png": _png,
}
