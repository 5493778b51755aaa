"""What can be done to a scan before a network sees it: levelling, row alignment, scars, clipping.

Every function takes ``[H,W]`` data, axis 1 the fast axis, and the mask of its measured pixels; only
those are looked at and changed. It returns its result and one sentence that says, with numbers,
what it did. None is applied unless somebody asks for it.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stm_experiments.core.planes import fit_polynomial
from stm_experiments.core.units import amount
from stm_experiments.io.scan import Scan

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

WIDEST_SCAR = 4  # px along the slow axis


def plane(data: Array, mask: Mask, unit: str = "") -> tuple[Array, str]:
    """Takes off the least-squares plane; the mean stays.

    Args:
        data: ``[H,W]``, in ``unit``.
        mask: ``[H,W]``, True where measured.
        unit: For the sentence.

    Returns:
        The data without the plane, and what was done.
    """
    surface, terms = fit_polynomial(data, mask, ((0, 1), (1, 0)))
    return np.where(mask, data - surface, data), f"plane removed: {_slopes(terms, data, unit)}"


def poly2(data: Array, mask: Mask, unit: str = "") -> tuple[Array, str]:
    """Takes off the least-squares surface of second degree (tilt, bow and twist); the mean stays.

    Args:
        data: ``[H,W]``, in ``unit``.
        mask: ``[H,W]``, True where measured.
        unit: For the sentence.

    Returns:
        The data without the surface, and what was done.
    """
    surface, terms = fit_polynomial(data, mask, ((0, 1), (1, 0), (0, 2), (1, 1), (2, 0)))
    bow = [amount(float(terms[k]), unit) for k in (2, 4)]
    did = (
        f"surface of second degree removed: {_slopes(terms, data, unit)}, and from the centre to "
        f"the edge a bow of {bow[0]} along the fast axis, {bow[1]} along the slow axis"
    )
    return np.where(mask, data - surface, data), did


def rows_median(data: Array, mask: Mask, unit: str = "") -> tuple[Array, str]:
    """Gives all rows the same median.

    It also takes off real height that differs from row to row, such as a terrace edge along them.

    Args:
        data: ``[H,W]``, in ``unit``.
        mask: ``[H,W]``, True where measured.
        unit: For the sentence.

    Returns:
        The aligned data, and what was done.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    offsets = np.zeros(len(data))
    offsets[rows] = [np.median(data[row, mask[row]]) for row in rows]
    return _shifted(data, mask, offsets, "rows aligned by their medians", unit)


def rows_differences(data: Array, mask: Mask, unit: str = "") -> tuple[Array, str]:
    """Shifts each row so that the median of its differences from the row before it becomes 0.

    Unlike ``rows_median`` it keeps islands and terraces whose edges cross the rows. It takes off
    the tilt along the slow axis too. Where a row is missing, the row before the gap is compared.

    Args:
        data: ``[H,W]``, in ``unit``.
        mask: ``[H,W]``, True where measured.
        unit: For the sentence.

    Returns:
        The aligned data, and what was done.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    steps = np.zeros(len(data))
    for before, row in pairwise(rows):
        both = mask[before] & mask[row]
        if both.any():
            steps[row] = np.median(data[row, both] - data[before, both])
    did = "rows aligned by the medians of their differences"
    return _shifted(data, mask, np.cumsum(steps), did, unit)


def clip(data: Array, mask: Mask, unit: str = "") -> tuple[Array, str]:
    """Clips what lies far outside of the bulk of the pixels.

    The bulk is the range from the 1st to the 99th percentile; the limits lie half that range below
    and above it. Level a tilted scan first.

    Args:
        data: ``[H,W]``, in ``unit``.
        mask: ``[H,W]``, True where measured.
        unit: For the sentence.

    Returns:
        The clipped data, and what was done.
    """
    first, last = np.percentile(data[mask], (1, 99))
    low, high = first - (last - first) / 2, last + (last - first) / 2
    outside = mask & ((data < low) | (data > high))
    did = (
        f"clipped to {amount(low, unit)} ... {amount(high, unit)}: {int(outside.sum())} pixels "
        f"({_percent(outside, mask)})"
    )
    return np.where(outside, np.clip(data, low, high), data), did


def scars(data: Array, mask: Mask, unit: str = "", shortest: int = 16) -> tuple[Mask, str]:
    """Marks scars: short runs along the fast axis that stand out from the rows above and below.

    A run of 1 to 4 rows is a scar if, over at least ``shortest`` pixels on end, all of its rows lie
    above (or all below) both neighbouring rows, by more than the median distance of neighbouring
    rows, and by twice that on average. Means over 5 pixels are compared: noise does not break runs.
    Align the rows first: one that lies at another height stands out just so.
    On simulated images of all lattices it marks 3 in 4 pixels of scars of 0.25 to 1 corrugation,
    and 1 in 10 pixels that it marks is none.

    Args:
        data: ``[H,W]``, in ``unit``.
        mask: ``[H,W]``, True where measured.
        unit: For the sentence.
        shortest: Fewest pixels of a scar along the fast axis.

    Returns:
        The mask of the scars ``[H,W]``, and what was found. The data stay as they are.
    """
    smooth = ndimage.uniform_filter1d(data, 5, axis=1, mode="nearest")
    distance = np.abs(np.diff(smooth, axis=0))[mask[1:] & mask[:-1]]
    typical = float(np.median(distance)) if distance.size else 0.0
    found = np.zeros(mask.shape, dtype=bool)
    for width in range(1, min(WIDEST_SCAR, len(data) - 2) + 1):
        measured = _over_rows(mask, width + 2, "min")
        around = (smooth[: -width - 1], smooth[width + 1 :])
        inside = smooth[1:-1]
        above = _over_rows(inside, width, "min") - np.maximum(*around)
        below = np.minimum(*around) - _over_rows(inside, width, "max")
        for excess in (above, below):
            labels, count = ndimage.label(
                (excess > typical) & measured, [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
            )
            lengths = np.bincount(labels.ravel(), minlength=count + 1)
            sums = np.bincount(labels.ravel(), excess.ravel(), minlength=count + 1)
            scar = (lengths >= shortest) & (sums > 2 * typical * lengths)
            scar[0] = False
            for row in range(width):
                found[1 + row : 1 + row + len(excess)] |= scar[labels]
    runs = ndimage.label(found)[1]
    did = (
        f"scars marked: {runs} runs, {int(found.sum())} pixels ({_percent(found, mask)}), that "
        f"stand out by more than {amount(2 * typical, unit)}"
    )
    return found, did


LEVELLING = {
    "plane": plane,
    "poly2": poly2,
    "rows_median": rows_median,
    "rows_differences": rows_differences,
    "clip": clip,
}
STEPS = (*LEVELLING, "scars")


def check(steps: Sequence[str]) -> None:
    """Finds misspelt steps.

    Raises:
        ValueError: If one is not of ``STEPS``.
    """
    for step in steps:
        if step not in STEPS:
            raise ValueError(f"prepare has no step {step!r}: choose from {', '.join(STEPS)}")


def prepare(scan: Scan, steps: Sequence[str]) -> Scan:
    """Applies steps to a scan, in their order, and writes each into its history.

    Args:
        scan: What was read.
        steps: Names of ``STEPS``. ``scars`` makes the scars' pixels count as not measured: the
            steps after it leave them out.

    Returns:
        The prepared scan.

    Raises:
        ValueError: If a step has another name.
    """
    check(steps)
    for step in steps:
        if step == "scars":
            found, did = scars(scan.data, scan.mask, scan.unit)
            scan = replace(scan, mask=scan.mask & ~found)
            data = scan.data
        else:
            data, did = LEVELLING[step](scan.data, scan.mask, scan.unit)
        filled = np.where(scan.mask, data, np.median(data[scan.mask]))
        scan = scan.with_data(filled, did)
    return scan


def _slopes(terms: NDArray[np.float64], data: Array, unit: str) -> str:
    """The tilt per pixel along both axes, in words."""
    height, width = data.shape
    fast = amount(2 * float(terms[0]) / max(width - 1, 1), unit)
    slow = amount(2 * float(terms[1]) / max(height - 1, 1), unit)
    return f"{fast}/px along the fast axis, {slow}/px along the slow axis"


def _shifted(
    data: Array, mask: Mask, offsets: NDArray[np.float64], did: str, unit: str
) -> tuple[Array, str]:
    """Data without one offset per row ``[H]``, whose median is kept, and what was done."""
    rows = mask.any(axis=1)
    offsets = np.where(rows, offsets - np.median(offsets[rows]), 0.0)
    worst = int(np.abs(offsets).argmax())
    did += (
        f": shifted by {amount(float(np.sqrt(np.mean(offsets[rows] ** 2))), unit)} rms, at most by "
        f"{amount(float(-offsets[worst]), unit)} (row {worst})"
    )
    return np.where(mask, data - offsets[:, None], data), did


def _over_rows(values: NDArray, rows: int, which: str) -> NDArray:
    """Least or largest of each ``rows`` rows on end: ``[H,W]`` to ``[H - rows + 1, W]``."""
    windows = np.lib.stride_tricks.sliding_window_view(values, rows, axis=0)
    result: NDArray = getattr(windows, which)(axis=-1)
    return result


def _percent(some: Mask, mask: Mask) -> str:
    return f"{100 * some.sum() / mask.sum():.2g} %"
