"""Grids of numbers as text: exports of Gwyddion, SPIP and WSxM, ISO 28600, matrices, x y z."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.directions import split_direction
from stm_experiments.io.trace import NoImage, Trace, Unreadable, decode_text, pixel_size_nm
from stm_experiments.io.units import to_si
from stm_experiments.io.vendors import wsxm
from stm_experiments.io.vendors.text import iso_28600
from stm_experiments.io.vendors.text.header import NO_HEADER, Header, read_header
from stm_experiments.io.vendors.text.numbers import Grid, grid_of_points, is_numbers, read_numbers

MOST_BLOCKS = 64  # images in one file


class _Block(NamedTuple):
    """Lines of a header, and the lines of numbers below it."""

    head: list[str]
    body: list[str]


def traces(path: Path) -> list[Trace]:
    """List the images of a text file: one for each block of numbers with a header of its own."""
    content = path.read_bytes()
    if b"\0" in content[:4096]:
        raise NoImage("not a text file")
    text = decode_text(content)
    if text.startswith(iso_28600.TITLE):
        return iso_28600.traces(text)
    if wsxm.is_text(text):
        return wsxm.text_traces(text)
    is_points = path.suffix.lower() == ".xyz"
    blocks = _blocks(text.splitlines(), is_points)
    if not blocks:
        raise NoImage("holds no numbers")
    if len(blocks) > MOST_BLOCKS:
        raise NoImage(f"holds {len(blocks)} blocks of numbers between other lines, no images")
    return [_trace(block, is_points) for block in blocks]


def _blocks(lines: list[str], is_points: bool) -> list[_Block]:
    """Cut a file where a header follows numbers, and where a blank line parts equal images."""
    blocks: list[_Block] = []
    head: list[str] = []
    body: list[str] = []
    for line in lines:
        if not line.strip() or is_numbers(line):
            body.append(line)
            continue
        if any(each.strip() for each in body):
            blocks.append(_Block(head, body))
            head = []
        body = []
        head.append(line)
    if any(each.strip() for each in body):
        blocks.append(_Block(head, body))
    elif blocks:  # lines below the last numbers
        blocks[-1].head.extend(head)
    return [part for block in blocks for part in _parts(block, is_points)]


def _parts(block: _Block, is_points: bool) -> list[_Block]:
    """Cut a block at blank lines if that gives several images of the same number of rows."""
    parts: list[list[str]] = [[]]
    for line in block.body:
        if line.strip():
            parts[-1].append(line)
        elif parts[-1]:
            parts.append([])
    parts = [part for part in parts if part]
    if is_points or len({len(part) for part in parts}) > 1 or len(parts[0]) == 1:
        return [_Block(block.head, [line for part in parts for line in part])]
    return [_Block(block.head, part) for part in parts]


def _trace(block: _Block, is_points: bool) -> Trace:
    """Decode a block."""
    numbers = read_numbers(block.body)
    header = read_header(block.head) if block.head else NO_HEADER
    is_points = is_points or header.lateral_unit != ""
    grid = grid_of_points(numbers, header.is_down) if is_points else None
    if grid is None and numbers.shape[1] == 3 and len(numbers) > 9:
        grid = _points_in_a_table(numbers, header.is_down)
    size = None
    if grid is not None:
        size = _size_of_points(grid, header)
        picture = grid.values
    else:
        picture = header.shaped(numbers)
        if header.frame is not None:
            size = pixel_size_nm(*header.frame, (picture.shape[0], picture.shape[1]))
    if min(picture.shape) == 1:
        raise NoImage(f"holds one {'row' if len(picture) == 1 else 'column'} of numbers, no image")
    channel, direction = split_direction(header.channel or "image")

    def decode() -> NDArray[np.float64]:
        return picture * header.factor

    missing = [name for name, value in (("unit", header.unit), ("size", size)) if not value]
    doubts = header.doubts
    if block.head and missing:
        first = block.head[0].strip()
        doubts += (f"its header states no {' and no '.join(missing)} that is understood ({first})",)
    return Trace(
        channel, direction, header.unit, size, decode, metadata=header.metadata, doubts=doubts
    )


def _points_in_a_table(numbers: NDArray[np.float64], is_down: bool | None) -> Grid | None:
    """Return the grid of a table of x, y, z; None if its rows are no such points."""
    try:
        return grid_of_points(numbers, is_down)
    except Unreadable:
        return None


def _size_of_points(grid: Grid, header: Header) -> tuple[float, float] | None:
    factor, unit = to_si(header.lateral_unit)
    if unit != "m":
        return None
    shape = (grid.values.shape[0], grid.values.shape[1])
    return pixel_size_nm(
        grid.row_step * factor * shape[0], grid.column_step * factor * shape[1], shape
    )
