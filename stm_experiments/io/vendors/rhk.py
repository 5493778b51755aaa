"""RHK scan files (.sm4): a tree of objects (kind, offset, size), each page one image or spectrum.

The meaning of the fields is that in Gwyddion's and spym's readers; RHK publishes no description.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.metadata import Metadata, iso_date, quantity, texts
from stm_experiments.io.trace import (
    Trace,
    Unreadable,
    check_size,
    early_end,
    pixel_size_nm,
    stored_image,
    stored_values,
)
from stm_experiments.io.units import to_si

SIGNATURE = "STiMage 005.".encode("utf-16-le")
PAGE_INDEX_HEADER, PAGE_INDEX_ARRAY, PAGE_HEADER, PAGE_DATA, STRINGS = 1, 2, 3, 4, 10
# Places in the list of strings; the time follows the date.
LABEL, COMMENT, DATE, X_UNIT, Z_UNIT, LINES_DONE = 0, 3, 5, 7, 9, 13
COUNT = np.dtype("<i4")
MOST_PAGES, MOST_OBJECTS = 4096, 256
DIRECTIONS = {0: "forward", 1: "backward", 2: "forward", 3: "backward"}  # right, left, up, down


class _Page(NamedTuple):
    """The fields of a page's header that are used, in the units that its strings name.

    Attributes:
        shape: Rows and columns.
        direction: As in ``Scan``.
        x_step: Signed distance of two columns.
        y_step: Signed distance of two rows.
        z_step: Height of one count.
        z_offset: Height at a count of 0.
        strings: The page's texts.
        metadata: As in ``Scan``.
    """

    shape: tuple[int, int]
    direction: str
    x_step: float
    y_step: float
    z_step: float
    z_offset: float
    strings: list[str]
    metadata: Metadata


class _Place(NamedTuple):
    """Where an object lies in the file, bytes."""

    offset: int
    size: int


def traces(path: Path) -> list[Trace]:
    """List the images of an RHK file.

    Left scans are stored unmirrored. A negative step along x means that columns run from right to
    left, a positive one along y that rows run from the bottom up.
    """
    content = path.read_bytes()
    if content[2 : 2 + len(SIGNATURE)] != SIGNATURE:
        raise Unreadable("not an RHK .sm4 file")
    header_size, objects = struct.unpack_from("<H", content)[0], _unpack("<I", content, 42)[0]
    index = _objects(content, 2 + header_size, objects)[PAGE_INDEX_HEADER].offset
    pages, objects = _unpack("<II", content, index)
    at = _objects(content, index + 16, objects)[PAGE_INDEX_ARRAY].offset
    if pages > MOST_PAGES:
        raise Unreadable(f"damaged: its header says {pages} pages")
    traces = []
    for _ in range(pages):
        is_spectrum, _, objects, _ = _unpack("<4I", content, at + 16)
        parts = _objects(content, at + 32, objects)
        at += 32 + 12 * objects
        if not is_spectrum:
            traces.append(_trace(content, parts))
    return traces


def _trace(content: bytes, parts: dict[int, _Place]) -> Trace:
    page = _page(content, parts[PAGE_HEADER].offset)
    start, size = parts[PAGE_DATA]
    check_size(*page.shape, len(content))
    x_factor, x_unit = to_si(page.strings[X_UNIT])
    z_factor, unit = to_si(page.strings[Z_UNIT])
    height, width = page.shape
    frame = (page.y_step * x_factor * height, page.x_step * x_factor * width)

    def decode() -> NDArray[np.float64]:
        data = stored_image(memoryview(content)[: start + size], COUNT, start, page.shape)
        done = page.strings[LINES_DONE].strip()
        if done.isdecimal() and 0 < int(done) < height:
            data[int(done) :] = np.nan
        data = (data * page.z_step + page.z_offset) * z_factor
        rows, columns = -1 if page.y_step > 0 else 1, -1 if page.x_step < 0 else 1
        return data[::rows, ::columns]

    return Trace(
        page.strings[LABEL],
        page.direction,
        unit,
        pixel_size_nm(*frame, page.shape) if x_unit == "m" else None,
        decode,
        metadata=page.metadata,
        doubts=early_end(stored_values(len(content), COUNT, start), page.shape),
    )


def _page(content: bytes, at: int) -> _Page:
    field_size, string_count = _unpack("<HH", content, at)
    width, height, _, direction = _unpack("<2i2I", content, at + 24)
    x, y, z, _, _, _, z_offset, _, *settings = _unpack("<11f", content, at + 56)
    (objects,) = _unpack("<I", content, at + 112)
    place = _objects(content, at + field_size, objects).get(STRINGS)
    strings = []
    if place is not None:
        position = place.offset
        for _ in range(min(string_count, 64)):
            (length,) = _unpack("<H", content, position)
            text = content[position + 2 : position + 2 + 2 * length]
            strings.append(text.decode("utf-16-le", "replace").strip("\0"))
            position += 2 + 2 * length
    strings += [""] * (LINES_DONE + 1 - len(strings))
    if direction not in DIRECTIONS:
        raise Unreadable(f"damaged: unknown scan direction {direction}")
    metadata = {
        **quantity("bias", settings[0], "V"),
        **quantity("setpoint", settings[1], "A"),
        **quantity("angle", settings[2], "deg"),
        **texts(
            date=iso_date(" ".join(strings[DATE : DATE + 2])),
            instrument="RHK",
            comment=strings[COMMENT],
        ),
    }
    return _Page((height, width), DIRECTIONS[direction], x, y, z, z_offset, strings, metadata)


def _objects(content: bytes, at: int, count: int) -> dict[int, _Place]:
    """Return where the first object of each kind in a list lies."""
    if count > MOST_OBJECTS:
        raise Unreadable(f"damaged: a list of {count} objects")
    places: dict[int, _Place] = {}
    for i in range(count):
        kind, offset, size = _unpack("<III", content, at + 12 * i)
        if size:
            places.setdefault(kind, _Place(offset, size))
    return places


def _unpack(form: str, content: bytes, at: int) -> tuple[int, ...]:
    if at + struct.calcsize(form) > len(content):
        raise Unreadable("truncated or damaged")
    return struct.unpack_from(form, content, at)
