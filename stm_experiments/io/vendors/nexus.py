"""NeXus files (HDF5) with images in NXdata groups, such as those of NXstm and NXspm.

Only what the file itself holds is read: links into other files are not followed.
"""

import contextlib
import importlib.metadata
import io
import math
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.directions import split_direction
from stm_experiments.io.metadata import Metadata, iso_date, quantity, texts
from stm_experiments.io.trace import Picture, Trace, Unreadable, check_size, decode_text, library
from stm_experiments.io.units import to_si

NEED = "reading and writing NeXus files needs h5py"
MOST_NODES = 4096  # groups and fields that are looked at
MOST_DEFLATED = 1032  # bytes that one byte of a deflated chunk can become
HEAP = b"GCOL"
LONGEST_TEXT = 2**16  # bytes
MOST_POINTS = 2**16  # of an axis


class _Axis(NamedTuple):
    """An axis of an image.

    Attributes:
        step: nm per px; NaN if the axis has no length.
        grows: Whether it grows with the index.
    """

    step: float
    grows: bool


def traces(path: Path) -> list[Trace]:
    """List the images of a NeXus file: the signals of its NXdata groups that have two axes.

    The row of the largest y is at the top.
    """
    h5py = library("h5py", NEED)
    _check_heaps(path.read_bytes())
    with h5py.File(path, "r") as file:
        nodes = list(_nodes(h5py, file))
        metadata = _metadata(h5py, dict(nodes))
        found = [
            trace
            for name, group in nodes
            if isinstance(group, h5py.Group) and _text(group.attrs.get("NX_class")) == "NXdata"
            for trace in _traces(h5py, path, name, group, metadata)
        ]
    return found


def _check_heaps(content: bytes) -> None:
    """Refuse heaps of texts in which HDF5 would read for ever: an empty piece of free space.

    A heap begins with its signature and its size at byte 8; each object with its index, 0 for free
    space, and its size at byte 8, which for free space counts these 16 bytes.
    """
    start = content.find(HEAP)
    while start >= 0:
        (size,) = struct.unpack_from("<Q", content[start : start + 16].ljust(16, b"\0"), 8)
        end, at = min(start + size, len(content)), start + 16
        while at + 16 <= end:
            index, length = struct.unpack_from("<H6xQ", content, at)
            if index == 0 and length < 16:
                raise Unreadable("damaged: a heap of texts without an end")
            at += length if index == 0 else 16 + -(-length // 8) * 8
        start = content.find(HEAP, start + 4)


def _nodes(h5py: Any, root: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over the groups and fields that lie in the file itself, with their paths."""
    groups, seen = [("", root)], 0
    while groups:
        prefix, group = groups.pop(0)
        for name in group:
            seen += 1
            if seen > MOST_NODES:  # also of groups that hold each other
                return
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            node = group[name]
            yield f"{prefix}/{name}", node
            if isinstance(node, h5py.Group):
                groups.append((f"{prefix}/{name}", node))


def _traces(h5py: Any, path: Path, name: str, group: Any, metadata: Metadata) -> list[Trace]:
    signal = _text(group.attrs.get("signal")) or "data"
    field = _own_field(h5py, group, signal)
    if field is None or field.ndim != 2 or field.dtype.kind not in "iuf":
        return []
    height, width = field.shape
    check_size(height, width, path.stat().st_size * MOST_DEFLATED)
    if field.chunks and math.prod(field.chunks) > 2**28:
        raise Unreadable("damaged: a chunk larger than any image")
    names = [_text(each) for each in np.atleast_1d(group.attrs.get("axes", []))]
    y, x = (_axis(h5py, group, each) for each in names) if len(names) == 2 else (None, None)
    size = None
    if y and x and all(0 < axis.step < math.inf for axis in (y, x)):
        size = (y.step, x.step)
    factor, unit = to_si(_text(field.attrs.get("units")))
    title = _text(group.attrs.get("title")) or name.rpartition("/")[2]
    channel, direction = split_direction(title)
    order = (-1 if y and y.grows else 1, 1 if x is None or x.grows else -1)
    read = partial(_decode, path, f"{name}/{signal}", order, factor)
    history = tuple(_text(field.attrs.get("history")).split("\n"))
    return [Trace(channel, direction, unit, size, read, tuple(filter(None, history)), metadata)]


def _decode(path: Path, name: str, order: tuple[int, int], factor: float) -> NDArray[np.float64]:
    h5py = library("h5py", NEED)
    with h5py.File(path, "r") as file:
        data = np.asarray(file[name][()], np.float64)
    return data[:: order[0], :: order[1]] * factor


def _own_field(h5py: Any, group: Any, name: str) -> Any:
    """Return a field whose values lie in the file itself; None if there is none of this name."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    field = group[name]
    own = isinstance(field, h5py.Dataset) and not field.is_virtual and not field.external
    return field if own else None


def _axis(h5py: Any, group: Any, name: str) -> _Axis | None:
    field = _own_field(h5py, group, name)
    if field is None or field.ndim != 1 or not 1 < field.size <= MOST_POINTS:
        return None
    factor, unit = to_si(_text(field.attrs.get("units")))
    first, last = float(field[0]), float(field[-1])
    step = abs(last - first) / (field.size - 1) * factor * 1e9 if unit == "m" else math.nan
    return _Axis(step, last > first)


def _metadata(h5py: Any, nodes: dict[str, Any]) -> Metadata:
    """Return what the fields of NXspm and NXstm say of the measurement."""
    values: dict[str, Any] = {}
    units: dict[str, str] = {}
    for path, node in nodes.items():
        is_small = isinstance(node, h5py.Dataset) and node.shape == () and not node.external
        if is_small and not node.is_virtual and node.dtype.itemsize <= LONGEST_TEXT:
            name = path.rpartition("/")[2]
            values.setdefault(name, node[()])
            units.setdefault(name, _text(node.attrs.get("units")))
    return {
        **_number("bias", "bias_voltage", values, units, "V"),
        **_number("setpoint", "set_point", values, units, "A"),
        **_number("angle", "scan_angle_1", values, units, "deg"),
        **texts(
            date=iso_date(_text(values.get("start_time"))),
            instrument=_text(values.get("model")),
            comment=_text(values.get("experiment_description")),
        ),
    }


def _number(
    name: str, field: str, values: dict[str, Any], units: dict[str, str], default: str
) -> Metadata:
    unit = units.get(field) or default
    return quantity(name, _text(values.get(field)), "deg" if unit.startswith("deg") else unit)


def _text(value: Any) -> str:
    """Return an attribute or a scalar as text, "" for None."""
    if value is None:
        return ""
    return decode_text(value) if isinstance(value, bytes) else str(value)


def write_nexus(file: BinaryIO, picture: Picture, about: dict[str, Any]) -> None:
    """Write a NeXus file after the application definition NXstm.

    Fields that the definition asks for and a scan does not know, such as temperatures, are absent.

    Args:
        file: Open for writing.
        picture: NaN where nothing was measured.
        about: ``channel``, ``direction``, ``history`` and ``metadata`` of the scan.

    Raises:
        Unreadable: If h5py is not installed.
    """
    h5py = library("h5py", NEED)
    data, mask, unit, pixel_size = picture
    buffer = io.BytesIO()  # HDF5 reads what it has written, and the file is open for writing alone
    with h5py.File(buffer, "w") as root:
        root.attrs["default"] = "entry"
        entry = _group(root, "entry", "NXentry")
        entry["definition"] = "NXstm"
        entry["experiment_technique"] = "STM"
        entry["scan_type"] = about["direction"]
        if unit == "m":  # heights are recorded while the feedback keeps the current
            entry["scan_mode"] = "constant current"
        _write_program(entry)
        _write_instrument(entry, about["metadata"], data.shape, pixel_size)
        name = f"{about['channel']}_{about['direction']}".replace("/", "_").replace("\0", " ")
        image = _group(entry, name if name.strip("._ ") else "image", "NXdata")
        entry.attrs["default"] = image.name.rpartition("/")[2]
        image.attrs["title"] = f"{about['channel']} ({about['direction'].replace('/', ' ')})"
        image.attrs["signal"], image.attrs["axes"] = "data", ["y", "x"]
        field = image.create_dataset("data", data=np.where(mask, data, np.nan))
        field.attrs["units"] = unit
        field.attrs["history"] = "\n".join(about["history"])
        pixel = pixel_size or (1e9, 1e9)
        for axis, side, step in zip("yx", data.shape, pixel, strict=True):
            places = (np.arange(side) + 0.5) * step / 1e9
            image[axis] = places[::-1] if axis == "y" else places
            image[axis].attrs["units"] = "m" if pixel_size else "px"
    file.write(buffer.getbuffer())


def _write_instrument(
    entry: Any, metadata: Metadata, shape: tuple[int, ...], pixel: tuple[float, float] | None
) -> None:
    """Write what is known of the measurement to where NXstm has a place for it."""
    if "date" in metadata:
        entry["start_time"] = metadata["date"]
    if "comment" in metadata:
        entry["experiment_description"] = metadata["comment"]
    instrument = _group(entry, "experiment_instrument", "NXinstrument")
    if "instrument" in metadata:
        _group(instrument, "hardware", "NXfabrication")["model"] = metadata["instrument"]
    environment = _group(instrument, "scan_environment", "NXenvironment")
    control = _group(environment, "scan_control", "NXscan_control")
    control["scan_type"] = "mesh"
    region = _group(control, "scan_region", "NXobject")
    if pixel is not None:
        region["scan_range"] = [shape[1] * pixel[1] / 1e9, shape[0] * pixel[0] / 1e9]
        region["scan_range"].attrs["units"] = "m"
    if "angle_deg" in metadata:
        region["scan_angle_1"] = metadata["angle_deg"]
        region["scan_angle_1"].attrs["units"] = "deg"
    if "bias_V" in metadata:
        sensor = _group(instrument, "sample_bias_voltage", "NXsensor")
        instrument["sample_bias_votage"] = sensor  # as the definition spelt it before 2025
        sensor["bias_voltage"] = metadata["bias_V"]
        sensor["bias_voltage"].attrs["units"] = "V"
    if "setpoint_A" in metadata:
        sensor = _group(instrument, "current_sensor", "NXsensor")
        sensor["current"] = metadata["setpoint_A"]
        sensor["current"].attrs["units"] = "A"
        _group(entry, "reproducibility_indicators", "NXcollection")["current"] = sensor["current"]
    setpoints = [key for key in metadata if key.startswith("setpoint_")]
    if setpoints:
        piezo = _group(instrument, "piezo_sensor", "NXsensor")
        positioner = _group(piezo, "positioner_spm", "NXpositioner_spm")
        controller = _group(positioner, "z_controller", "NXpid")
        controller["set_point"] = metadata[setpoints[0]]
        controller["set_point"].attrs["units"] = setpoints[0].removeprefix("setpoint_")


def _write_program(entry: Any) -> None:
    """Write which program wrote the file."""
    process = _group(entry, "process", "NXprocess")
    process["program"] = __package__.partition(".")[0]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # not installed
        process["program"].attrs["version"] = importlib.metadata.version("stm_experiments")


def _group(parent: Any, name: str, kind: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group
