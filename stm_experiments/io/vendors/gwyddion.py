"""Gwyddion's native files (.gwy): a container of named components, among them data fields."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.trace import Trace, Unreadable, check_size, library, pixel_size_nm
from stm_experiments.io.units import to_si

SIZES = {b"b": 1, b"c": 1, b"i": 4, b"q": 8, b"d": 8}  # bytes of a component, or of an item of it
ARRAYS = {b"C": 1, b"I": 4, b"Q": 8, b"D": 8}
MOST_PARTS = 64  # components of a data field; Gwyddion writes ten
DIRECTIONS = {"forward": "forward", "right": "forward", "backward": "backward", "left": "backward"}
UNMEASURED = "masked pixels were not measured"

Piece = bytes | memoryview  # of a file that is written


class _Object(NamedTuple):
    """An object: its name, and where its components start and end."""

    name: str
    start: int
    end: int


class _Part(NamedTuple):
    """A component: its name, its one-letter type, and where its value starts and ends."""

    name: str
    kind: bytes
    start: int
    end: int


def traces(path: Path) -> list[Trace]:
    """List the data fields of a Gwyddion file.

    The channel is the field's title, without the " (Backward)" or " [Left]" that Gwyddion appends
    to the titles of unmirrored backward scans. Masks are marks, not gaps, except in files that
    ``write_gwy`` wrote.
    """
    gwyfile = library("gwyfile.objects", "reading .gwy files needs gwyfile")
    content = path.read_bytes()
    if content[:4] != b"GWYP":
        raise Unreadable("not a Gwyddion file of version 2")
    container = _object(content, 4, len(content))
    if container.name != "GwyContainer":
        raise Unreadable("damaged: holds no GwyContainer")
    parts = {part.name: part for part in _parts(content, container.start, container.end)}
    numbers = sorted(int(m[1]) for name in parts if (m := re.fullmatch(r"/(\d{1,9})/data", name)))
    traces = []
    for number in numbers:
        field = _field(gwyfile, content, parts[f"/{number}/data"])
        mask = None
        meta = parts.get(f"/{number}/meta")
        if meta is not None and UNMEASURED.encode() in content[meta.start : meta.end]:
            mask = _field(gwyfile, content, parts[f"/{number}/mask"])
        title = parts.get(f"/{number}/data/title")
        text = f"data {number}"
        if title is not None:
            text = content[title.start : title.end].rstrip(b"\0").decode("utf-8", "replace")
        history = () if meta is None else _history(content, meta)
        traces.append(_trace(text, field, mask, history))
    return traces


def _history(content: bytes, meta: _Part) -> tuple[str, ...]:
    """Return the lines of the text that ``write_gwy`` received as "History"."""
    container = _object(content, meta.start, meta.end)
    for part in _parts(content, container.start, container.end):
        if part.name == "History" and part.kind == b"s":
            lines = content[part.start : part.end].rstrip(b"\0").decode("utf-8", "replace")
            return tuple(lines.split("\n")) if lines else ()
    return ()


def _trace(title: str, field: Any, mask: Any, history: tuple[str, ...]) -> Trace:
    channel, direction = title.strip(), "forward"
    ending = re.search(r"\s[\[(](\w+)[\])]$", channel)
    if ending and ending[1].lower() in DIRECTIONS:
        channel, direction = channel[: ending.start()], DIRECTIONS[ending[1].lower()]
    factor, unit = to_si(_unit(field, "si_unit_z"))
    xy_factor, xy_unit = to_si(_unit(field, "si_unit_xy"))
    shape = (field["yres"], field["xres"])
    size = None
    if xy_unit == "m":
        frame = (field.get("yreal", 0.0) * xy_factor, field.get("xreal", 0.0) * xy_factor)
        size = pixel_size_nm(*frame, shape)

    def decode() -> NDArray[np.float64]:
        data = np.asarray(field.data, np.float64) * factor
        return data if mask is None else np.where(np.asarray(mask.data) > 0, np.nan, data)

    return Trace(channel, direction, unit, size, decode, history)


def _unit(field: Any, key: str) -> str:
    return str(field[key].get("unitstr", "")) if key in field else ""


def _field(gwyfile: Any, content: bytes, part: _Part) -> Any:
    """Decode a data field, after a check of all its lengths, which gwyfile does not check."""
    outer = _object(content, part.start, part.end)
    for component in _parts(content, outer.start, outer.end, MOST_PARTS):
        if component.kind == b"o":
            inner = _object(content, component.start, component.end)
            if any(p.kind in b"oOS" for p in _parts(content, inner.start, inner.end, MOST_PARTS)):
                raise Unreadable("damaged: a data field holds what it should not")
    field = gwyfile.GwyObject.frombuffer(content[part.start : outer.end])
    if outer.name != "GwyDataField" or field["data"].dtype != np.float64:
        raise Unreadable(f"damaged: /{part.name}/ is no data field")
    check_size(field["yres"], field["xres"], len(content))
    if field["yres"] * field["xres"] != field["data"].size:
        raise Unreadable("damaged: a data field has fewer values than it says")
    return field


def _parts(content: bytes, start: int, end: int, most: int = 2**20) -> Iterator[_Part]:
    """Iterate over the components between two places; none reaches beyond them."""
    for _ in range(most):
        if start >= end:
            return
        stop = content.index(b"\0", start, end)
        name, kind = content[start:stop].decode("utf-8"), content[stop + 1 : stop + 2]
        start = stop + 2
        stop = _end(content, kind, start, end)
        if stop > end:
            raise Unreadable("truncated or damaged")
        yield _Part(name, kind, start, stop)
        start = stop
    raise Unreadable("damaged: too many components")


def _end(content: bytes, kind: bytes, start: int, end: int) -> int:
    """Return where the value ends that starts here."""
    if kind in SIZES:
        return start + SIZES[kind]
    if kind == b"s":
        return int(content.index(b"\0", start, end)) + 1
    if kind == b"o":
        return _object(content, start, end).end
    if start + 4 > end:
        raise Unreadable("truncated or damaged")
    count = int(struct.unpack_from("<I", content, start)[0])
    start += 4
    if kind in ARRAYS:
        return start + count * ARRAYS[kind]
    if kind not in (b"S", b"O"):
        raise Unreadable("damaged: a component of unknown type")
    for _ in range(count):
        start = _end(content, kind.lower(), start, end)
    return start


def _object(content: bytes, start: int, end: int) -> _Object:
    """Read the head of the object that starts here."""
    stop = content.index(b"\0", start, end)
    if stop + 5 > end:
        raise Unreadable("truncated or damaged")
    (size,) = struct.unpack_from("<I", content, stop + 1)
    if stop + 5 + size > end:
        raise Unreadable("truncated or damaged")
    return _Object(content[start:stop].decode("utf-8"), stop + 5, stop + 5 + size)


def write_gwy(
    file: BinaryIO,
    data: NDArray[np.float64],
    mask: NDArray[np.bool_],
    unit: str,
    pixel_size: tuple[float, float] | None,
    texts: dict[str, str],
) -> None:
    """Write a Gwyddion file of one channel, without a copy of its data.

    Args:
        file: Open for writing.
        data: [H, W] in ``unit``.
        mask: [H, W], False for the pixels that become masked, as not measured.
        unit: SI.
        pixel_size: nm per px along axes 0 and 1, or None.
        texts: The channel's metadata as Gwyddion shows them; "Title" is the channel's name.

    Raises:
        Unreadable: If the data are larger than such a file can be.
    """
    lateral = "m" if pixel_size else ""
    pixel = pixel_size or (1e9, 1e9)  # unknown: a frame of one unit per pixel
    frame = (data.shape[0] * pixel[0] / 1e9, data.shape[1] * pixel[1] / 1e9)
    about = {name: text for name, text in texts.items() if name != "Title"}
    parts = [
        _component("/0/data", "o", *_data_field(data, frame, lateral, unit)),
        _component("/0/data/title", "s", _text(texts["Title"])),
    ]
    if not mask.all():
        marks = (~mask).astype(np.float64)
        parts.append(_component("/0/mask", "o", *_data_field(marks, frame, lateral, "")))
        about["Mask"] = UNMEASURED
    meta = [_component(name, "s", _text(text)) for name, text in about.items()]
    parts.append(_component("/0/meta", "o", *_encode_object("GwyContainer", meta)))
    file.write(b"GWYP")
    file.writelines(_encode_object("GwyContainer", parts))


def _data_field(
    data: NDArray[np.float64], frame: tuple[float, float], lateral: str, unit: str
) -> list[Piece]:
    """Encode data [H, W] whose frame is so high and wide, in the lateral unit."""
    height, width = data.shape
    values = np.ascontiguousarray(data, "<f8")
    components = [
        _component("xres", "i", struct.pack("<i", width)),
        _component("yres", "i", struct.pack("<i", height)),
        _component("xreal", "d", struct.pack("<d", frame[1])),
        _component("yreal", "d", struct.pack("<d", frame[0])),
        *(
            _component(
                key, "o", *_encode_object("GwySIUnit", [_component("unitstr", "s", _text(si))])
            )
            for key, si in (("si_unit_xy", lateral), ("si_unit_z", unit))
        ),
        _component("data", "D", struct.pack("<I", values.size), values.data.cast("B")),
    ]
    return _encode_object("GwyDataField", components)


def _encode_object(name: str, components: list[list[Piece]]) -> list[Piece]:
    """Return the pieces of an object: its name, its size, its components."""
    pieces = [piece for component in components for piece in component]
    size = sum(map(len, pieces))
    if size >= 2**32:
        raise Unreadable("a .gwy file holds less than 4 GiB: save it as .tiff or .npy")
    return [_text(name) + struct.pack("<I", size), *pieces]


def _component(name: str, kind: str, *value: Piece) -> list[Piece]:
    """Return the pieces of a component: its name, its one-letter type, its value."""
    return [_text(name) + kind.encode(), *value]


def _text(text: str) -> bytes:
    """Return a text as it stands in the file: UTF-8 without zeros, and a zero at its end."""
    return text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
