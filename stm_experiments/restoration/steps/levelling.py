"""Levelling of surfaces with steps, by points and by polynomials; see ``preparation``."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from stm_experiments.core.arrays import Array, Indices, Mask
from stm_experiments.core.planes import centred_axes, fit_polynomial
from stm_experiments.core.units import amount
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.steps.arguments import region, whole_numbers

SMOOTHING = 2.0  # px, standard deviation: slopes are those of the surface, not of its atoms
STEEP = 4.0  # deviations of the slopes above which a pixel belongs to a step
SMALLEST_TERRACE = 0.02  # of the measured pixels
ROUNDS = 4
REACH = 2  # px around a point whose mean is its height


def facet_slopes(data: Array, mask: Mask) -> tuple[float, float]:
    """Return the most common slopes along axes 0 and 1, those of the largest terraces, per px.

    The medians of the local slopes are refined by the mean of the slopes near them: pixels on steps
    and clusters do not count, which a least-squares plane would follow.
    """
    slopes = _local_slopes(data, mask)
    inside = mask & ndimage.binary_erosion(mask, iterations=int(2 * SMOOTHING), border_value=1)
    if inside.sum() < 10:
        inside = mask
    near = inside
    for _ in range(ROUNDS):
        centres = [np.median(slope[near]) for slope in slopes]
        away = sum((s - c) ** 2 for s, c in zip(slopes, centres, strict=True)) ** 0.5
        near = inside & (away <= 2 * np.median(away[near]) + np.finfo(float).tiny)
    return float(slopes[0][near].mean()), float(slopes[1][near].mean())


def terraces(data: Array, mask: Mask) -> Indices:
    """Return which terrace each pixel belongs to, 1 for the largest, 0 for none, [H, W].

    Args:
        data: Without the slope of its terraces.
        mask: True where measured.
    """
    steepness = np.hypot(*_local_slopes(data, mask))
    limit = STEEP * np.median(steepness[mask])
    labels, count = ndimage.label(mask & (steepness <= limit))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    order = [place for place in np.argsort(-sizes) if sizes[place] >= SMALLEST_TERRACE * mask.sum()]
    rank = np.zeros(count + 1, dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    terrace: Indices = rank[labels]
    return terrace


def subtract_slopes(data: Array, mask: Mask, slopes: tuple[float, float]) -> Array:
    """Return data without a plane of these slopes; the mean of the measured pixels is kept."""
    rows, columns = centred_axes(data.shape)
    plane = slopes[0] * rows + slopes[1] * columns
    return np.where(mask, data - (plane - plane[mask].mean()), data)


def terrace_slopes(data: Array, mask: Mask, terrace: Indices) -> tuple[float, float]:
    """Fit one plane with an offset for each terrace, and return its slopes per px."""
    rows, columns = (np.broadcast_to(axis, data.shape) for axis in centred_axes(data.shape))
    sums = np.zeros((2, 2))
    right = np.zeros(2)
    for number in range(1, int(terrace.max()) + 1):
        here = (terrace == number) & mask
        terms = np.stack([rows[here], columns[here]])
        terms = terms - terms.mean(axis=1, keepdims=True)
        sums += terms @ terms.T
        right += terms @ (data[here] - data[here].mean())
    slopes = np.linalg.lstsq(sums, right, rcond=None)[0]
    return float(slopes[0]), float(slopes[1])


def level_three_points(scan: Scan, argument: Any) -> Scan:
    """Subtract the plane through three points [[row, column], ...], px.

    The height of a point is the mean of the 5 x 5 px around it.

    Raises:
        ValueError: If the points lie on a line, outside of the scan or where nothing was measured.
    """
    points = three_points(argument)
    heights = []
    for row, column in points:
        if not (0 <= row < scan.data.shape[0] and 0 <= column < scan.data.shape[1]):
            raise ValueError(f"the point ({row}, {column}) lies outside of the scan")
        rows, columns = (slice(max(place - REACH, 0), place + REACH + 1) for place in (row, column))
        around = scan.data[rows, columns][scan.mask[rows, columns]]
        if not around.size:
            raise ValueError(f"nothing was measured at the point ({row}, {column})")
        heights.append(around.mean())
    terms = np.column_stack([np.array(points, float), np.ones(3)])
    if abs(np.linalg.det(terms)) < 1:
        raise ValueError("the three points lie on a line")
    slopes = np.linalg.solve(terms, heights)
    level = (float(slopes[0]), float(slopes[1]))
    sentence = f"plane through three points removed: {slope_text(level, scan.unit)}"
    return scan.with_data(subtract_slopes(scan.data, scan.mask, level), sentence)


def three_points(argument: Any) -> list[list[int]]:
    """Return the argument of ``level_three_points``.

    Raises:
        ValueError: If it is no list of three points.
    """
    meaning = "three points [[row, column], [row, column], [row, column]] in px"
    points = argument if isinstance(argument, list | tuple) else []
    if len(points) != 3:
        raise ValueError(f"prepare: three_points takes {meaning}, not {argument!r}")
    return [whole_numbers(point, 2, "three_points", meaning) for point in points]


def level_polynomial(scan: Scan, argument: Any) -> Scan:
    """Subtract the least-squares polynomial of a degree; the mean is kept.

    Args:
        scan: Any.
        argument: The degree, or ``{"degree": ..., "without": region or list of regions}``: the
            regions [top, left, height, width] do not count, and are levelled with the rest.

    Raises:
        ValueError: If nothing is left to fit.
    """
    settings = polynomial(argument)
    mask = scan.mask.copy()
    for top, left, height, width in settings.without:
        mask[top : top + height, left : left + width] = False
    degree = settings.degree
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i) if i + j > 0]
    if mask.sum() <= len(powers):
        raise ValueError(f"prepare: poly of degree {degree} has too few pixels to fit")
    surface = fit_polynomial(scan.data, mask, powers).heights
    extent = float(np.ptp(surface[scan.mask]))
    kept = f", fitted without {len(settings.without)} region(s)" if settings.without else ""
    sentence = f"surface of degree {degree} removed, which spans {amount(extent, scan.unit)}{kept}"
    return scan.with_data(np.where(scan.mask, scan.data - surface, scan.data), sentence)


class Polynomial(NamedTuple):
    """The argument of ``level_polynomial``.

    Attributes:
        degree: 1 to 8.
        without: Regions [top, left, height, width] that do not count, px.
    """

    degree: int
    without: list[list[int]]


def polynomial(argument: Any) -> Polynomial:
    """Return the argument of ``level_polynomial``.

    Raises:
        ValueError: If it is none.
    """
    meaning = "a degree from 1 to 8, or {degree: 3, without: [top, left, height, width]}"
    given = argument if isinstance(argument, Mapping) else {"degree": argument}
    if not {"degree"} <= set(given) <= {"degree", "without"}:
        raise ValueError(f"prepare: poly takes {meaning}, not {argument!r}")
    (degree,) = whole_numbers(given["degree"], 1, "poly", meaning)
    if not 1 <= degree <= 8:
        raise ValueError(f"prepare: poly takes {meaning}, not {argument!r}")
    regions = given.get("without") or []
    if regions and not isinstance(regions[0], Sequence):
        regions = [regions]
    return Polynomial(degree, [region(each, "poly") for each in regions])


def slope_text(slopes: tuple[float, float], unit: str) -> str:
    """Describe slopes along axes 0 and 1."""
    slow, fast = (amount(slope, unit) for slope in slopes)
    return f"{fast}/px along the fast axis, {slow}/px along the slow axis"


def _local_slopes(data: Array, mask: Mask) -> tuple[Array, Array]:
    """Return the slopes of the smoothed data along axes 0 and 1, from measured pixels alone."""
    weights = ndimage.gaussian_filter(mask.astype(float), SMOOTHING, mode="nearest")
    level = float(np.median(data[mask]))
    filled = np.where(mask, data - level, 0.0)
    smooth = ndimage.gaussian_filter(filled, SMOOTHING, mode="nearest")
    smooth /= np.maximum(weights, 1e-6)
    rows, columns = (
        np.gradient(smooth, axis=axis) if side > 1 else np.zeros(data.shape)
        for axis, side in enumerate(data.shape)
    )
    return rows, columns
