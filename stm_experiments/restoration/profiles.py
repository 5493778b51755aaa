"""Heights along a line of a scan."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from stm_experiments.core.arrays import Array
from stm_experiments.io.scan import Scan

MEASURED = 0.99  # least weight of measured pixels of a place that counts as measured


class Profile(NamedTuple):
    """Heights along a line.

    Attributes:
        start: Row and column, px.
        end: Row and column, px.
        distance: From the start, nm or px, [N].
        height: In the scan's unit, NaN where not measured, [N].
        length: Unit of the distance, "nm" or "px".
    """

    start: tuple[float, float]
    end: tuple[float, float]
    distance: Array
    height: Array
    length: str


def line_profile(scan: Scan, line: Any = None) -> Profile:
    """Return the heights along a straight line, one for each px of its length, interpolated.

    Args:
        scan: Any.
        line: [[row, column], [row, column]], px; None: the middle one of the measured rows.

    Raises:
        ValueError: If the line is no such pair or leaves the scan, or if a row has one px.
    """
    height, width = scan.data.shape
    if line is None:
        if width < 2:
            raise ValueError(f"a scan of {height} x {width} px has no profile along a row")
        measured = np.flatnonzero(scan.mask.any(axis=1))
        row = int(measured[len(measured) // 2])
        line = [[row, 0], [row, width - 1]]
    start, end = _ends(line)
    if not all(0 <= r <= height - 1 and 0 <= c <= width - 1 for r, c in (start, end)):
        raise ValueError(f"profile={line} leaves the scan of {height} x {width} px")
    count = max(2, math.ceil(math.dist(start, end)) + 1)
    places = [np.linspace(first, last, count) for first, last in zip(start, end, strict=True)]
    level = float(np.median(scan.data))  # rounding is that of differences, not of large offsets
    values = ndimage.map_coordinates(scan.data - level, places, order=1) + level
    weight = ndimage.map_coordinates(scan.mask.astype(float), places, order=1)
    pixel = scan.pixel_size or (1.0, 1.0)
    total = math.hypot((end[0] - start[0]) * pixel[0], (end[1] - start[1]) * pixel[1])
    return Profile(
        start,
        end,
        np.linspace(0, total, count),
        np.where(weight > MEASURED, values, np.nan),
        "px" if scan.pixel_size is None else "nm",
    )


def _ends(line: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the two ends of a line.

    Raises:
        ValueError: If there are no two points that differ.
    """
    points = [
        (float(point[0]), float(point[1]))
        for point in (line if isinstance(line, Sequence) and not isinstance(line, str) else [])
        if isinstance(point, Sequence)
        and len(point) == 2
        and all(isinstance(x, int | float) and math.isfinite(x) for x in point)
    ]
    if len(points) != 2 or points[0] == points[1]:
        raise ValueError(f"profile is [[row, column], [row, column]] in px or null, not {line!r}")
    return points[0], points[1]
