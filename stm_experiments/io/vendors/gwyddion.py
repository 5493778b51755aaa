"""Gwyddion's native files (.gwy): a container of named components, among them data fields."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.directions import split_direction
from stm_experiments.io.metadata import read_texts
from stm_experiments.io.trace import (
    Picture,
    Trace,
    Unreadable,
    check_size,
    decode_text,
    pixel_size_nm,
)
from stm_experiments.io.units import to_si

SIZES = {b"b": 1, b"c": 1, b"i": 4, b"q": 8, b"d": 8}  # bytes of a component, or of an item of it
ARRAYS = {b"C": 1, b"I": 4, b"Q": 8, b"D": 8}
MOST_PARTS = 64  # components of a data field; Gwyddion writes ten
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


class _Field(NamedTuple):
    """A data field that is not decoded yet.

    Attributes:
        content: Of the file.
        start: Where its values start.
        shape: (H, W), px.
        frame: Height and width, in ``lateral_unit``.
        lateral_unit: As in the file.
        unit: Of the values, as in the file.
    """

    content: bytes
    start: int
    shape: tuple[int, int]
    frame: tuple[float, float]
    lateral_unit: str
    unit: str

    def decode(self) -> NDArray[np.float64]:
        """Return the values, [H, W]."""
        count = self.shape[0] * self.shape[1]
        return np.frombuffer(self.content, "<f8", count, self.start).reshape(self.shape)


def traces(path: Path) -> list[Trace]:
    """List the data fields of a Gwyddion file.

    The channel is the field's title without the words for a direction, such as " (Backward)". Masks
    are marks, not gaps, except in files that ``write_gwy`` wrote.
    """
    content = path.read_bytes()
    if content[:4] != b"GWYP":
        raise Unreadable("not a Gwyddion file of version 2")
    container = _object(content, 4, len(content))
    if container.name != "GwyContainer":
        raise Unreadable("damaged: holds no GwyContainer")
    parts = _by_name(content, container.start, container.end)
    numbers = sorted(int(m[1]) for name in parts if (m := re.fullmatch(r"/(\d{1,9})/data", name)))
    traces = []
    for number in numbers:
        field = _field(content, parts[f"/{number}/data"])
        meta = _meta(content, parts.get(f"/{number}/meta"))
        mask = _field(content, parts[f"/{number}/mask"]) if meta.get("Mask") == UNMEASURED else None
        title = parts.get(f"/{number}/data/title")
        name = _string(content, title) if title else f"data {number}"
        traces.append(_trace(name, field, mask, meta))
    return traces


def _meta(content: bytes, part: _Part | None) -> dict[str, str]:
    """Return the texts that Gwyddion shows as a channel's metadata."""
    if part is None:
        return {}
    container = _object(content, part.start, part.end)
    texts = _parts(content, container.start, container.end)
    return {each.name: _string(content, each) for each in texts if each.kind == b"s"}


def _trace(title: str, field: _Field, mask: _Field | None, meta: dict[str, str]) -> Trace:
    channel, direction = split_direction(title)
    factor, unit = to_si(field.unit)
    xy_factor, xy_unit = to_si(field.lateral_unit)
    size = None
    if xy_unit == "m":
        height, width = field.frame
        size = pixel_size_nm(height * xy_factor, width * xy_factor, field.shape)

    def decode() -> NDArray[np.float64]:
        data = field.decode() * factor
        return data if mask is None else np.where(mask.decode() > 0, np.nan, data)

    history = tuple(meta["History"].split("\n")) if meta.get("History") else ()
    return Trace(channel, direction, unit, size, decode, history, read_texts(meta))


def _field(content: bytes, part: _Part) -> _Field:
    """Read a data field, after a check of all its lengths."""
    outer = _object(content, part.start, part.end)
    parts = _by_name(content, outer.start, outer.end, MOST_PARTS)
    data = parts.get("data")
    if outer.name != "GwyDataField" or data is None or data.kind != b"D":
        raise Unreadable(f"damaged: /{part.name}/ is no data field")
    height, width = (_number(content, parts.get(f"{axis}res"), "<i") for axis in "yx")
    check_size(int(height), int(width), len(content))
    shape = (int(height), int(width))
    if 8 * shape[0] * shape[1] != data.end - data.start - 4:
        raise Unreadable("damaged: a data field has fewer values than it says")
    frame = [_number(content, parts.get(f"{axis}real"), "<d") for axis in "yx"]
    units = [_unit(content, parts.get(f"si_unit_{axis}")) for axis in ("xy", "z")]
    return _Field(content, data.start + 4, shape, (frame[0], frame[1]), *units)


def _number(content: bytes, part: _Part | None, form: str) -> float:
    """Return the value of a component, 0 if it is absent or of another size."""
    if part is None or part.end - part.start != struct.calcsize(form):
        return 0.0
    return float(struct.unpack_from(form, content, part.start)[0])


def _unit(content: bytes, part: _Part | None) -> str:
    if part is None or part.kind != b"o":
        return ""
    unit = _object(content, part.start, part.end)
    texts = _by_name(content, unit.start, unit.end, MOST_PARTS)
    return _string(content, texts["unitstr"]) if "unitstr" in texts else ""


def _string(content: bytes, part: _Part) -> str:
    return decode_text(content[part.start : part.end].rstrip(b"\0"))


def _by_name(content: bytes, start: int, end: int, most: int = 2**20) -> dict[str, _Part]:
    return {part.name: part for part in _parts(content, start, end, most)}


def _parts(content: bytes, start: int, end: int, most: int = 2**20) -> Iterator[_Part]:
    """Iterate over the components between two places; none reaches beyond them."""
    for _ in range(most):
        if start >= end:
            return
        stop = content.index(b"\0", start, end)
        name, kind = decode_text(content[start:stop]), content[stop + 1 : stop + 2]
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
        raise Unreadable(f"truncated or damaged: {end - stop - 5} of {size} bytes are there")
    return _Object(decode_text(content[start:stop]), stop + 5, stop + 5 + size)


def write_gwy(file: BinaryIO, picture: Picture, texts: dict[str, str]) -> None:
    """Write a Gwyddion file of one channel, without a copy of its data.

    Args:
        file: Open for writing.
        picture: Pixels that were not measured become masked.
        texts: The channel's metadata as Gwyddion shows them; "Title" is the channel's name.

    Raises:
        Unreadable: If the data are larger than such a file can be.
    """
    data, mask, unit, pixel_size = picture
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
