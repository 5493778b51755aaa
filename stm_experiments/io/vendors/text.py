"""Grids of numbers as text: Gwyddion's export with its header, ISO 28600, plain matrices, x y z."""

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.trace import Trace, Unreadable, check_size, pixel_size_nm
from stm_experiments.io.units import length_nm, to_si

ISO_TITLE = "ISO/TC 201 SPM data transfer format"
ISO_LINES = 128  # lines of header, which the standard numbers from 1
MOST_CHANNELS = 8  # in the header of ISO 28600


def traces(path: Path) -> list[Trace]:
    """List the images of a text file: one, or in ISO 28600 up to eight."""
    content = path.read_bytes()
    if b"\0" in content[:4096]:
        raise Unreadable("not a text file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # older programs write "µm" so
    if text.startswith(ISO_TITLE):
        return _iso(text)
    lines = text.splitlines()
    head = [line.lstrip("# \t") for line in lines if line.startswith("#")]
    pairs = (line.split(":", 1) for line in head if ":" in line)
    about = {key.strip().lower(): value.strip() for key, value in pairs}
    grid = _numbers([line for line in lines if not line.startswith("#")])
    factor, unit = to_si(about.get("value units", ""))
    size = None
    if path.suffix.lower() == ".xyz":
        grid, steps = _from_points(grid)
        lateral, lateral_unit = to_si(about.get("lateral units", ""))
        if lateral_unit == "m":
            frame = (steps[0] * lateral * grid.shape[0], steps[1] * lateral * grid.shape[1])
            size = pixel_size_nm(*frame, grid.shape)
    else:
        frame = (length_nm(about.get("height", "")) / 1e9, length_nm(about.get("width", "")) / 1e9)
        size = pixel_size_nm(*frame, (grid.shape[0], grid.shape[1]))
    channel = about.get("channel") or "image"
    return [Trace(channel, "forward", unit, size, lambda: grid * factor)]


def _numbers(lines: list[str]) -> NDArray[np.float64]:
    """Return [H, W] of lines of numbers that blanks, commas or semicolons separate."""
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise Unreadable("holds no numbers")
    separator = next((mark for mark in ";," if mark in first), None)
    grid = np.loadtxt(io.StringIO("\n".join(lines)), delimiter=separator, ndmin=2, comments=None)
    check_size(grid.shape[0], grid.shape[1], grid.size)
    return grid


def _from_points(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the grid of rows of x, y, z in any order, and its steps along axes 0 and 1."""
    if points.shape[1] != 3:
        raise Unreadable(f"has {points.shape[1]} columns, expected x, y and z")
    x, column = np.unique(points[:, 0], return_inverse=True)
    y, row = np.unique(points[:, 1], return_inverse=True)
    if len(x) * len(y) > len(points) or min(len(x), len(y)) < 2:
        raise Unreadable("its points lie on no complete grid")
    grid = np.full((len(y), len(x)), np.nan)
    grid[len(y) - 1 - row, column] = points[:, 2]  # y points up
    return grid, (float(y[1] - y[0]), float(x[1] - x[0]))


def _iso(text: str) -> list[Trace]:
    """List the channels of an ISO 28600 map: one line per pixel, one number per channel."""
    lines = text.splitlines()
    if len(lines) <= ISO_LINES:
        raise Unreadable("truncated")
    head = ["", *(line.strip() for line in lines[:ISO_LINES])]
    modes = {"MAP_SC": 1, "MAP_MC": min(int(head[94] or 0), MOST_CHANNELS)}
    count = modes.get(head[8], 0)
    if count < 1 or head[17] != "REGULAR MAPPING":
        raise Unreadable(f"holds {head[8]} data in {head[17]}, expected a regular map")
    width, height = int(head[24]), int(head[25])
    check_size(height, width, len(lines))
    factor = math.nan if (to_si(head[26])[1] != "m") else to_si(head[26])[0]
    frame = (float(head[29] or 0) * factor, float(head[28] or 0) * factor)
    values = [line for line in lines[ISO_LINES:] if line[:1].isdecimal() or line[:1] in "+-.nN "]
    numbers = _numbers(values[: height * width])
    if numbers.shape[1] < count:
        raise Unreadable(f"has {numbers.shape[1]} numbers a line, expected {count}")
    filled = np.full((height * width, count), np.nan)
    filled[: len(numbers)] = numbers[:, :count]
    rows = -1 if head[23].lower() == "bottom to top" else 1
    columns = -1 if head[21].lower() == "right to left" else 1
    traces = []
    for i in range(count):
        name, unit_text = (
            (head[69], head[70]) if count == 1 else (head[95 + 3 * i], head[96 + 3 * i])
        )
        z_factor, unit = to_si(unit_text)
        grid = filled[:, i].reshape(height, width)[::rows, ::columns] * z_factor
        size = pixel_size_nm(*frame, (height, width))
        traces.append(Trace(name or f"channel {i}", "forward", unit, size, grid.copy))
    return traces
