"""Steps that prepare a scan: levelling, row alignment, scars, waves, cutting, known lattices.

Each step without an argument is a function of the data [H, W] (axis 1: fast axis), the mask of its
measured pixels and the unit. It uses and changes measured pixels only, and says in one sentence,
with numbers, what it did. Steps with an argument take a scan, and return it with such a sentence in
its history.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stm_experiments.core.arrays import Array, Mask
from stm_experiments.core.planes import fit_polynomial
from stm_experiments.core.texts import did_you_mean
from stm_experiments.core.units import amount
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.steps import geometry, known_lattice, levelling, notch
from stm_experiments.restoration.steps.arguments import region

WIDEST_SCAR = 4  # px along the slow axis
SHORTEST_SCAR = 16  # px along the fast axis; noise makes shorter runs by chance


class Prepared(NamedTuple):
    """The result of a step.

    Attributes:
        data: [H, W], in the unit of the scan.
        mask: True for the pixels that still count as measured, [H, W].
        sentence: Description of the step for the history.
    """

    data: Array
    mask: Mask
    sentence: str


def level_plane(data: Array, mask: Mask, unit: str = "") -> Prepared:
    """Subtract the least-squares plane; the mean is kept."""
    surface, terms = fit_polynomial(data, mask, ((0, 1), (1, 0)))
    sentence = f"plane removed: {_slopes(terms, data.shape, unit)}"
    return Prepared(np.where(mask, data - surface, data), mask, sentence)


def level_parabola(data: Array, mask: Mask, unit: str = "") -> Prepared:
    """Subtract the least-squares surface of second degree (tilt, bow, twist); the mean is kept."""
    surface, terms = fit_polynomial(data, mask, ((0, 1), (1, 0), (0, 2), (1, 1), (2, 0)))
    bow = [amount(float(terms[k]), unit) for k in (2, 4)]
    sentence = (
        f"surface of second degree removed: {_slopes(terms, data.shape, unit)}, and from the "
        f"centre to the edge a bow of {bow[0]} along the fast axis, {bow[1]} along the slow axis"
    )
    return Prepared(np.where(mask, data - surface, data), mask, sentence)


def align_medians(data: Array, mask: Mask, unit: str = "") -> Prepared:
    """Shift all rows to the same median.

    Real differences in height from row to row are lost, such as a terrace edge along the rows.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    offsets = np.zeros(len(data))
    offsets[rows] = [np.median(data[row, mask[row]]) for row in rows]
    aligned = _without_offsets(data, mask, offsets, "rows aligned by their medians", unit)
    before, after = (
        float(np.sqrt(np.mean(_row_steps(heights, mask) ** 2))) for heights in (data, aligned.data)
    )
    if after <= before:
        return aligned
    warning = (
        f"{aligned.sentence}; this made it worse: neighbouring rows differ by "
        f"{amount(after, unit)} rms and not by {amount(before, unit)} as before (rows_differences "
        "follows neighbours)"
    )
    return aligned._replace(sentence=warning)


def align_differences(data: Array, mask: Mask, unit: str = "") -> Prepared:
    """Shift each row so that the median of its differences from the previous row becomes 0.

    Unlike ``align_medians`` it keeps islands and terraces whose edges cross the rows. The tilt
    along the slow axis is lost. After missing rows, a row is compared with the last measured one.
    """
    offsets = np.cumsum(_row_steps(data, mask))
    aligned = "rows aligned by the medians of their differences"
    return _without_offsets(data, mask, offsets, aligned, unit)


def clip_outliers(data: Array, mask: Mask, unit: str = "") -> Prepared:
    """Clip the pixels far outside of the bulk of the heights.

    The bulk is the range from the 1st to the 99th percentile; the limits lie half that range below
    and above it. Level a tilted scan first.
    """
    first, last = np.percentile(data[mask], (1, 99))
    low, high = first - (last - first) / 2, last + (last - first) / 2
    outside = mask & ((data < low) | (data > high))
    sentence = (
        f"clipped to {amount(low, unit)} ... {amount(high, unit)}: {int(outside.sum())} pixels "
        f"({_percent(outside, mask)})"
    )
    return Prepared(np.where(outside, np.clip(data, low, high), data), mask, sentence)


def mark_scars(data: Array, mask: Mask, unit: str = "") -> Prepared:
    """Mark scars as not measured: short runs that stand out from the rows above and below.

    A run of 1 to 4 rows is a scar if, over at least 16 consecutive pixels, all of its rows lie
    above (or all below) both neighbouring rows, by more than the median distance of neighbouring
    rows, and by twice that on average. Means over 5 pixels are compared, so that noise does not
    break runs. Align the rows first: a row at another height looks like a scar.

    On simulated images of all lattices it marks 3 of 4 pixels of scars of 0.25 to 1 corrugation;
    1 of 10 marked pixels belongs to no scar.
    """
    smooth = ndimage.uniform_filter1d(data, 5, axis=1, mode="nearest")
    distance = np.abs(np.diff(smooth, axis=0))[mask[1:] & mask[:-1]]
    typical = float(np.median(distance)) if distance.size else 0.0
    scars = np.zeros(mask.shape, dtype=bool)
    for width in range(1, min(WIDEST_SCAR, len(data) - 2) + 1):
        scars |= _scars_of_width(smooth, mask, width, typical)
    runs = ndimage.label(scars)[1]
    sentence = (
        f"scars marked: {runs} runs, {int(scars.sum())} pixels ({_percent(scars, mask)}), that "
        f"stand out by more than {amount(2 * typical, unit)}"
    )
    return Prepared(data, mask & ~scars, sentence)


def level_facet(data: Array, mask: Mask, unit: str = "") -> Prepared:
    """Subtract the slope that most of the surface has, that of its largest terraces."""
    slopes = levelling.facet_slopes(data, mask)
    sentence = f"slope of the largest terraces removed: {levelling.slope_text(slopes, unit)}"
    return Prepared(levelling.subtract_slopes(data, mask, slopes), mask, sentence)


def level_terraces(data: Array, mask: Mask, unit: str = "") -> Prepared:
    """Subtract one plane that is fitted to all terraces, each at a height of its own.

    The heights of the steps stay; the history states those of the largest terraces.
    """
    facet = level_facet(data, mask, unit).data
    terrace = levelling.terraces(facet, mask)
    count = int(terrace.max())
    if count == 0:
        return Prepared(data, mask, "no terrace was found: not levelled")
    slopes = levelling.terrace_slopes(data, mask, terrace)
    level = levelling.subtract_slopes(data, mask, slopes)
    heights = [float(np.median(level[terrace == number])) for number in range(1, count + 1)]
    others = ", ".join(amount(height - heights[0], unit) for height in heights[1:6])
    sentence = f"plane fitted to {count} terraces removed: {levelling.slope_text(slopes, unit)}"
    if others:
        sentence += f"; heights above the largest one: {others}"
    return Prepared(level, mask, sentence)


Step = Callable[[Array, Mask, str], Prepared]
STEPS: dict[str, Step] = {
    "plane": level_plane,
    "facet": level_facet,
    "terraces": level_terraces,
    "poly2": level_parabola,
    "rows_median": align_medians,
    "rows_differences": align_differences,
    "clip": clip_outliers,
    "scars": mark_scars,
}


class _Step(NamedTuple):
    """A step that takes an argument.

    Attributes:
        check: Raises ValueError if the argument is none of this step.
        apply: Returns the scan after the step, with a sentence of history.
    """

    check: Callable[[Any], object]
    apply: Callable[[Scan, Any], Scan]


STEPS_WITH_ARGUMENT: dict[str, _Step] = {
    "three_points": _Step(levelling.three_points, levelling.level_three_points),
    "poly": _Step(levelling.polynomial, levelling.level_polynomial),
    "notch": _Step(notch.waves, notch.notch),
    "mask": _Step(partial(region, step="mask"), geometry.mask_region),
    "crop": _Step(partial(region, step="crop"), geometry.crop),
    "resample": _Step(geometry.resampled_sides, geometry.resample),
    "lattice": _Step(known_lattice.known_vectors, known_lattice.correct_lattice),
}
StepOrName = str | Mapping[str, Any]  # "plane", or {"crop": [0, 0, 128, 128]}


def listed(steps: StepOrName | Sequence[StepOrName]) -> list[StepOrName]:
    """Return steps as a list: what is no list, such as a name, is one step."""
    if isinstance(steps, Sequence) and not isinstance(steps, str):
        return list(steps)
    return [steps]


def check_steps(steps: Sequence[StepOrName]) -> None:
    """Check the names and arguments of steps.

    Raises:
        ValueError: If one is in neither ``STEPS`` nor ``STEPS_WITH_ARGUMENT``, lacks its argument
            or has a wrong one.
    """
    for step in steps:
        name = step_name(step)
        if name not in STEPS and name not in STEPS_WITH_ARGUMENT:
            known = ", ".join([*STEPS, *STEPS_WITH_ARGUMENT])
            likely = did_you_mean(name, [*STEPS, *STEPS_WITH_ARGUMENT])
            raise ValueError(f"prepare has no step {name!r}: choose from {known}{likely}")
        if isinstance(step, Mapping) != (name in STEPS_WITH_ARGUMENT):
            form = f"{{{name}: ...}}" if name in STEPS_WITH_ARGUMENT else name
            raise ValueError(f"prepare: write this step as {form}, not {step!r}")
        if isinstance(step, Mapping):
            STEPS_WITH_ARGUMENT[name].check(step[name])


def step_name(step: StepOrName) -> str:
    """Return the name of a step, with or without an argument.

    Raises:
        ValueError: If it is neither a name nor a mapping of one name to its argument.
    """
    if isinstance(step, str):
        return step
    if isinstance(step, Mapping) and len(step) == 1:
        return str(next(iter(step)))
    raise ValueError(f"prepare has no step {step!r}: a step is a name, or {{name: argument}}")


def prepare(scan: Scan, steps: Sequence[StepOrName]) -> Scan:
    """Apply steps to a scan in their order, and add a sentence of each to its history.

    Args:
        scan: The scan as read.
        steps: Names in ``STEPS``, or ``{name: argument}`` of ``STEPS_WITH_ARGUMENT``. After
            ``scars`` and ``mask``, some pixels count as not measured, and further steps ignore
            them. ``crop``, ``resample`` and ``lattice`` change the shape of the scan.

    Raises:
        ValueError: If a step has another name, or cannot be applied to this scan.
    """
    check_steps(steps)
    for step in steps:
        if isinstance(step, Mapping):
            name = step_name(step)
            scan = STEPS_WITH_ARGUMENT[name].apply(scan, step[name])
            continue
        data, mask, sentence = STEPS[step](scan.data, scan.mask, scan.unit)
        filled = np.where(mask, data, np.median(data[mask]))
        scan = replace(scan, mask=mask).with_data(filled, sentence)
    return scan


def _slopes(terms: Array, shape: tuple[int, ...], unit: str) -> str:
    """Describe the tilt per pixel along both axes."""
    height, width = shape
    fast = amount(2 * float(terms[0]) / max(width - 1, 1), unit)
    slow = amount(2 * float(terms[1]) / max(height - 1, 1), unit)
    return f"{fast}/px along the fast axis, {slow}/px along the slow axis"


def _row_steps(data: Array, mask: Mask) -> Array:
    """Return the median difference of each row from the last measured one, [H]; 0 without one."""
    steps = np.zeros(len(data))
    for previous, row in pairwise(np.flatnonzero(mask.any(axis=1))):
        both = mask[previous] & mask[row]
        if both.any():
            steps[row] = np.median(data[row, both] - data[previous, both])
    return steps


def _without_offsets(data: Array, mask: Mask, offsets: Array, sentence: str, unit: str) -> Prepared:
    """Subtract one offset per row [H] except for their median."""
    rows = mask.any(axis=1)
    offsets = np.where(rows, offsets - np.median(offsets[rows]), 0.0)
    worst = int(np.abs(offsets).argmax())
    sentence += (
        f": shifted by {amount(float(np.sqrt(np.mean(offsets[rows] ** 2))), unit)} rms, at most by "
        f"{amount(float(-offsets[worst]), unit)} (row {worst})"
    )
    return Prepared(np.where(mask, data - offsets[:, None], data), mask, sentence)


def _scars_of_width(smooth: Array, mask: Mask, width: int, typical: float) -> Mask:
    """Find scars of a number of rows in smoothed data [H, W]; see ``mark_scars``."""
    scars = np.zeros(mask.shape, dtype=bool)
    measured = _row_windows(mask, width + 2).all(axis=-1)
    neighbours = (smooth[: -width - 1], smooth[width + 1 :])
    inside = _row_windows(smooth[1:-1], width)
    above = inside.min(axis=-1) - np.maximum(*neighbours)
    below = np.minimum(*neighbours) - inside.max(axis=-1)
    for excess in (above, below):
        labels, count = ndimage.label(
            (excess > typical) & measured, [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
        )
        lengths = np.bincount(labels.ravel(), minlength=count + 1)
        sums = np.bincount(labels.ravel(), excess.ravel(), minlength=count + 1)
        scar = (lengths >= SHORTEST_SCAR) & (sums > 2 * typical * lengths)
        scar[0] = False
        for row in range(width):
            scars[1 + row : 1 + row + len(excess)] |= scar[labels]
    return scars


def _row_windows(values: NDArray[np.generic], rows: int) -> NDArray[np.generic]:
    """Return all groups of consecutive rows, [H - rows + 1, W, rows]."""
    return np.lib.stride_tricks.sliding_window_view(values, rows, axis=0)


def _percent(part: Mask, mask: Mask) -> str:
    return f"{100 * part.sum() / mask.sum():.2g} %"
