"""A whole image of SrTiO3 with a Ruddlesden-Popper fault, and the measures of that fault."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stm_experiments.benchmarks.srtio3.patches import srtio3_of_constant
from stm_experiments.core.arrays import Array
from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.core.seeds import seed_of
from stm_experiments.lattice.atoms import find_atoms, match_points
from stm_experiments.reporting.result_table import Cell, ResultTable, embolden, number
from stm_experiments.simulator import (
    NOISES,
    PRESETS,
    DefectCode,
    Defects,
    DetectorNoise,
    MotionNoise,
    Noise,
    SampleNoise,
    ScanNoise,
    simulate,
)
from stm_experiments.simulator.lattices.flat import turned_basis

ImageMethod = Callable[[Tensor], Tensor]  # from a noisy image [H, W] to a denoised one


def _fast_scan(shot: float) -> Noise:
    """Return the noise of a fast scan of a sample with strain and defects.

    Args:
        shot: Shot noise, in the unit of ``DetectorNoise.shot``.
    """
    return Noise(
        sample=SampleNoise(strain=0.01),
        scan=ScanNoise(row_offset=0.05),
        detector=DetectorNoise(shot=shot),
        defects=Defects(vacancies=0.01, substitutions=0.02),
        motion=MotionNoise(row_jitter=0.3),
    )


# The ratios of the fast scans are approximately those of signal to shot noise.
FAULT_NOISES = {
    "evenly distributed noise, ratio 0.33": NOISES["srtio3"],
    "fast scan, ratio 1": _fast_scan(0.5),
    "fast scan, ratio 3": _fast_scan(0.17),
}

ELONGATION = 0.04  # of the lattice next to the fault, along its normal
_BORDER = 8  # px; columns closer to the border are left out
_NEAR = 0.35  # largest distance of a detected column from its true place, lattice constants
_FEWEST = 5  # columns of a row that is measured


class FaultImage(NamedTuple):
    """An image with a fault; noisy and clean are on the noisy one's scale [-1, 1].

    Attributes:
        noisy: [H, W].
        clean: [H, W].
        columns: True positions of all columns that are there, without the jitter of the lines that
            show them, [C, 2] px.
        strontium: Which of them are Sr columns, [C] bool.
        empty: True positions of the columns that are missing, [V, 2] px.
        along: Unit vector along the fault, [2].
        normal: Unit vector across it, [2].
        constant: Lattice constant, px.
    """

    noisy: Tensor
    clean: Tensor
    columns: Array
    strontium: NDArray[np.bool_]
    empty: Array
    along: Array
    normal: Array
    constant: float


class FaultFit(NamedTuple):
    """The fault as an image shows it, compared with the truth.

    Attributes:
        fault: Its true place along the normal, px from the first pixel.
        place: Middle between two rows of Sr columns, px from the fault along the normal, [R - 1].
        elongation: From each row to the next one, with the fault's own gap as NaN, [R - 1].
        truth: The same of the true columns, [R - 1].
        detected: Share of the Sr columns that were detected.
        position: Error of the fault's position along its normal, px; NaN if a row is not there.
        gap: Error of the distance of the two rows at the fault, px.
        step: Error of the sideways shift of the crystal beyond it, px.
    """

    fault: float
    place: Array
    elongation: Array
    truth: Array
    detected: float
    position: float
    gap: float
    step: float


def fault_image(noise: Noise, index: int, size: int = 257) -> FaultImage:
    """Simulate an image with a fault through its middle half, of a seed that no training uses.

    Args:
        noise: Of the microscope; also strain and vacancies.
        index: Number of the image; its turn is perfect_patches, 0 to 45 degrees.
        size: Height and width, px.
    """
    lattice = replace(srtio3_of_constant(10.0), fault=1.0, fault_strain=ELONGATION)
    seed = seed_of("srtio3", "with a fault", index)
    image = simulate([lattice], [seed], noise, PRESETS["physical"], size)
    low, high = image.noisy.min(), image.noisy.max()
    noisy, clean = ((x[0, 0] - low) * 2 / (high - low) - 1 for x in (image.noisy, image.clean))
    present = image.atoms.present[0]
    places = torch.stack([image.atoms.u[0], image.atoms.v[0]], 1)[present]
    if "moved" in image.truth:
        line = places[:, 0].round().long().clamp(0, size - 1)
        places = places + image.truth["moved"][0][line]
    columns = places.numpy()
    axes = turned_basis(lattice, image.orientation)[0].numpy()
    along = axes[:, 0] / np.linalg.norm(axes[:, 0])
    normal = np.array([-along[1], along[0]])
    normal *= np.sign(normal @ axes[:, 1])
    inside = ((columns >= _BORDER) & (columns <= size - 1 - _BORDER)).all(1)
    strontium = (image.truth["site"][0][present] == 0).numpy()
    gone = image.truth.get("defect_kind", torch.zeros(1, 0))[0] == DefectCode.VACANCY
    empty = image.truth.get("defect_position", torch.zeros(1, 0, 2))[0][gone].numpy()
    return FaultImage(
        noisy, clean, columns[inside], strontium[inside], empty, along, normal, lattice.spread
    )


def measure_fault(image: Tensor, case: FaultImage) -> FaultFit:
    """Detect the columns of an image and compare their rows along the fault with the true ones.

    Args:
        image: A method's output for ``case.noisy``, [H, W].
        case: The truth.
    """
    peaks = find_atoms(image, int(0.3 * case.constant), _BORDER - 3)
    true_index, peak_index = match_points(case.columns, peaks, _NEAR * case.constant)
    detected = np.full(case.columns.shape, np.nan)
    detected[true_index] = peaks[peak_index]
    rows = _rows(case)
    truth, places = case.columns[case.strontium], detected[case.strontium]
    measured = ~np.isnan(places[:, 0])
    shift = places - truth
    counts = [int((measured & (rows == row)).sum()) for row in range(rows.max() + 1)]
    # The mean shift of a row does not depend on which of its columns were detected.
    across, aside = (
        np.array(
            [
                float((shift[measured & (rows == row)] @ axis).mean()) if n >= _FEWEST else np.nan
                for row, n in enumerate(counts)
            ]
        )
        for axis in (case.normal, case.along)
    )
    true_rows = np.array(
        [float((truth[rows == row] @ case.normal).mean()) for row in range(rows.max() + 1)]
    )
    spacing, between = np.diff(true_rows), (true_rows[1:] + true_rows[:-1]) / 2
    at = int(np.argmin(spacing))  # the two SrO layers of the fault are closer than a constant
    unit = case.constant
    true_elongation, elongation = (x / unit - 1 for x in (spacing, spacing + np.diff(across)))
    true_elongation[at] = elongation[at] = np.nan
    return FaultFit(
        fault=float(between[at]),
        place=between - between[at],
        elongation=elongation,
        truth=true_elongation,
        detected=float(measured.mean()),
        position=float(across[at : at + 2].mean()),
        gap=float(across[at + 1] - across[at]),
        step=float(aside[at + 1] - aside[at]),
    )


def _rows(case: FaultImage) -> NDArray[np.intp]:
    """Return the row along the fault of each Sr column, counted along the normal, [S]."""
    height = case.columns[case.strontium] @ case.normal
    order = np.argsort(height)
    next_row = np.diff(height[order]) > 0.25 * case.constant
    rows = np.empty(len(height), np.intp)
    rows[order] = np.concatenate([[0], np.cumsum(next_row)])
    return rows


MEASURES = {
    "error %": 1,
    "detected %": 1,
    "filled %": 1,
    "elongation %": 2,
    "next to it %": 2,
    "worst %": 2,
    "position px": 2,
    "gap px": 2,
    "step px": 2,
}
LEGEND = (
    "Means over the images of: mean |error| of a px over the clean range; Sr columns detected; "
    "missing columns filled in. Elongation of the rows along the fault against the truth: root "
    "mean square of the rows more than one constant from the fault, of those next to it, and the "
    "worst row of all. Fault: |error| of its position, of the distance of the two layers at it, "
    "and of the sideways shift."
)


def fault_measures(image: Tensor, case: FaultImage) -> dict[str, float]:
    """Return the measures of a method's output [H, W] for an image with a fault."""
    fit = measure_fault(image, case)
    error = 100 * (fit.elongation - fit.truth)
    near = np.abs(fit.place) < 1.5 * case.constant
    span = float(case.clean.max() - case.clean.min())
    filled = match_points(
        case.empty, find_atoms(image, int(0.3 * case.constant)), _NEAR * case.constant
    )
    values = (
        100 * float((image - case.clean).abs().mean()) / span,
        100 * fit.detected,
        100 * len(filled[0]) / len(case.empty) if len(case.empty) else math.nan,
        _rms(error[~near]),
        _rms(error[near]),
        float(np.nanmax(np.abs(error))) if np.isfinite(error).any() else math.nan,
        abs(fit.position),
        abs(fit.gap),
        abs(fit.step),
    )
    return dict(zip(MEASURES, values, strict=True))


def fault_table(
    name: str, methods: Mapping[str, ImageMethod], cases: Sequence[FaultImage]
) -> ResultTable:
    """Tabulate the measures of each method and of the clean image, averaged over images.

    Args:
        name: Of the noise of the images.
        methods: By name.
        cases: The images.
    """
    short = "fault_" + "_".join(name.replace(",", "").split())
    table = ResultTable(short, ("", *MEASURES), [])
    for method, function in {**methods, "clean image": None}.items():
        rows = [
            fault_measures(x.clean if function is None else function(x.noisy), x) for x in cases
        ]
        means = [mean_and_interval([row[key] for row in rows])[0] for key in MEASURES]
        cells = map(number, means, MEASURES.values())
        table.rows.append([Cell(method), *cells])
    for column, key in enumerate(MEASURES, 1):
        embolden(table.rows[:-1], column, smallest=key != "detected %")
    return table


def _rms(values: Array) -> float:
    """Return the root mean square of the finite values; NaN of none."""
    values = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(values**2))) if values.size else math.nan
