"""Lines of numbers: their separators, decimal commas, and grids of points."""

import io
import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.trace import Unreadable, check_size

START = re.compile(r"\s*[-+]?(?:nan|inf|[.,]?\d)", re.IGNORECASE)
SAMPLE = 100  # lines that decide what separates the numbers


class Grid(NamedTuple):
    """Points in the order of a picture.

    Attributes:
        values: [H, W].
        row_step: Distance of two rows, in the unit of the points.
        column_step: Distance of two columns.
    """

    values: NDArray[np.float64]
    row_step: float
    column_step: float


def is_numbers(line: str) -> bool:
    """Say whether a line begins with a number."""
    return START.match(line) is not None


def read_numbers(lines: list[str]) -> NDArray[np.float64]:
    """Return [H, W] of lines of numbers that blanks, commas or semicolons separate.

    A comma between digits is a decimal one if something else separates the numbers.
    """
    rows = [line.strip() for line in lines if line.strip()]
    if not rows:
        raise Unreadable("holds no numbers")
    sample = "\n".join(rows[:SAMPLE])
    separator = None
    if ";" in sample:
        separator = ";"
    elif "," in sample and (
        re.search(r",\s", sample) or "." in sample or not re.search(r"\S[ \t]+\S", sample)
    ):
        separator = ","
    if separator != ",":
        rows = [row.replace(",", ".") for row in rows]
    if separator:
        rows = [row.rstrip(f"{separator} \t") for row in rows]
    text = io.StringIO("\n".join(rows))
    try:
        grid = np.loadtxt(text, delimiter=separator, ndmin=2, comments=None)
    except ValueError:
        raise Unreadable(_why_no_numbers(rows, separator)) from None
    check_size(grid.shape[0], grid.shape[1], grid.size)
    return grid


def _why_no_numbers(rows: list[str], separator: str | None) -> str:
    """Say which of the lines holds no number, or not as many as the first."""
    width = len(rows[0].split(separator))
    for place, row in enumerate(rows, 1):
        cells = row.split(separator)
        if len(cells) != width:
            return f"line {place} of its numbers holds {len(cells)}, the first {width}"
        for cell in cells:
            try:
                float(cell)
            except ValueError:
                return f"line {place} of its numbers holds {cell.strip()[:20]!r}"
    return "damaged: its lines hold no numbers"


def grid_of_points(points: NDArray[np.float64], is_down: bool | None) -> Grid:
    """Return the picture of points x, y, z.

    Points in the order of a picture may be rounded so that neighbours coincide; in any other order,
    each x and y has to be the same number in its whole column and row.

    Args:
        points: [H W, 3].
        is_down: Whether y grows downwards; None: the first row of the file is the uppermost, which
            for points in no order means that y grows upwards.

    Raises:
        Unreadable: If the points are no complete grid.
    """
    if points.shape[1] != 3:
        raise Unreadable(f"has {points.shape[1]} columns, expected x, y and z")
    x, y, z = points.T
    turns = np.flatnonzero(np.diff(x) < 0)
    width = int(turns[0]) + 1 if len(turns) else len(x)
    if _are_in_order(x, y, width):
        rows, columns = y[::width], x[:width]
        values = z.reshape(-1, width)
        goes_down = bool(rows[-1] > rows[0]) if is_down is None else is_down
        if goes_down != (rows[-1] > rows[0]):
            values = values[::-1]
    else:
        columns, column = np.unique(x, return_inverse=True)
        rows, row = np.unique(y, return_inverse=True)
        if len(columns) * len(rows) > len(points) or min(len(columns), len(rows)) < 2:
            raise Unreadable("its points lie on no complete grid")
        values = np.full((len(rows), len(columns)), np.nan)
        values[row if is_down else len(rows) - 1 - row, column] = z
    steps = [abs(float(axis[-1] - axis[0])) / max(len(axis) - 1, 1) for axis in (rows, columns)]
    return Grid(values, *steps)


def _are_in_order(x: NDArray[np.float64], y: NDArray[np.float64], width: int) -> bool:
    """Say whether points lie row by row, the rows in the order of their y."""
    if not 1 < width < len(x) or len(x) % width:
        return False
    climbs = np.diff(y[::width])
    return bool(
        (x.reshape(-1, width) == x[:width]).all() and ((climbs >= 0).all() or (climbs <= 0).all())
    )
