"""What a residual holds besides noise: measured, for the caption of its picture."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stm_experiments.core.arrays import Array, Mask
from stm_experiments.core.spectra import bragg_peaks, hann_power
from stm_experiments.core.units import amount

BLOCK = 16  # px, side of the areas whose mean changes are measured
STEEP = 5.0  # percent of the pixels that count as edges, the steepest
PROMINENCE = 100.0  # least power of a lattice peak before, of the median of its ring
PEAKS = 12  # of the lattice, at most
SMALLEST = 2 * BLOCK  # px, least side of an image with areas


class Residual(NamedTuple):
    """Measures of a residual, after - before, each with its value for white noise.

    Attributes:
        rms: Root mean square, in the unit of the image.
        peaks: Number of lattice peaks in the spectrum before.
        lattice: Their amplitude in the residual over that before; NaN without peaks.
        lattice_noise: The same of the residual's other frequencies of that size.
        edges: Root mean square where the result is steepest, over that elsewhere; white noise: 1.
        rows: Share of the variance that the means of the rows hold.
        rows_noise: The same of white noise, 1 / the mean length of a row.
        areas: Root mean square of the means of squares of 16 px, in the unit of the image; NaN for
            small images.
        areas_noise: The same of white noise, rms / 16.
    """

    rms: float
    peaks: int
    lattice: float
    lattice_noise: float
    edges: float
    rows: float
    rows_noise: float
    areas: float
    areas_noise: float

    def sentence(self, unit: str) -> str:
        """Return the measures in words.

        Args:
            unit: Of the image.
        """
        if not self.rms > 0:
            return "The residual is 0 everywhere."
        unit = unit or "arb. units"
        parts = [f"rms {amount(self.rms, unit)}"]
        if self.peaks:
            share, noise = f"{self.lattice:.1%}", f"{self.lattice_noise:.1%}"
            parts.append(f"lattice peaks {share} of their amplitude before ({noise})")
        else:
            parts.append("no lattice peaks were found before")
        if np.isfinite(self.edges):
            parts.append(f"steepest places {self.edges:.2f} times the rms elsewhere (1)")
        parts.append(f"means of rows {self.rows:.1%} of the variance ({self.rows_noise:.1%})")
        if np.isfinite(self.areas):
            areas, noise = amount(self.areas, unit), amount(self.areas_noise, unit)
            parts.append(f"means of {BLOCK} px squares {areas} rms ({noise})")
        return f"In the residual (in brackets: in white noise): {'; '.join(parts)}."


def measure_residual(before: Array, after: Array) -> Residual:
    """Measure what a residual holds: lattice, edges, rows and areas beside noise.

    Args:
        before: [H, W], NaN where not measured.
        after: [H, W], of the same unit.
    """
    change = after - before
    measured: Mask = np.isfinite(change)
    if not (change[measured] != 0).any():
        return Residual(0.0, 0, *[float("nan")] * 7)
    change = np.where(measured, change, 0.0)
    variance = float(np.mean(change[measured] ** 2))
    rms = float(np.sqrt(variance))
    lengths = measured.sum(1)
    sums, lengths = change.sum(1)[lengths > 0], lengths[lengths > 0]
    areas = _area_means(change, measured)
    return Residual(
        rms,
        *_lattice_share(before, change, measured),
        edges=_edge_ratio(after, change, measured),
        rows=float((sums**2 / lengths).sum() / measured.sum() / variance),
        rows_noise=float(len(lengths) / measured.sum()),
        areas=float(np.sqrt(np.mean(areas**2))) if areas.size else float("nan"),
        areas_noise=rms / BLOCK,
    )


def _lattice_share(before: Array, change: Array, measured: Mask) -> tuple[int, float, float]:
    """Return the number of lattice peaks, their share in the residual, and that of its noise."""
    if min(before.shape) < 8:
        return 0, float("nan"), float("nan")
    level = float(np.median(before[measured]))
    powers = [
        hann_power(torch.from_numpy(np.where(measured, image, 0.0)))
        for image in (before - level, change)
    ]
    places = _peaks(powers[0]) & {place[::-1] for place in _peaks(powers[0].T)}
    if not places:
        return 0, float("nan"), float("nan")
    here, there = (sum(float(power[place]) for place in places) for power in powers)
    noise = float(powers[1].mean()) * len(places)
    return len(places), (there / here) ** 0.5, (noise / here) ** 0.5


def _peaks(power: Tensor) -> set[tuple[int, ...]]:
    """Return the places of the lattice peaks of a spectrum that are no ridge along a column."""
    peaks = bragg_peaks(power, prominence=PROMINENCE, most=PEAKS, along_columns=True)
    sides = power.shape
    return {
        tuple(min(place, tuple((-i) % n for i, n in zip(place, sides, strict=True))))
        for place in map(tuple, peaks.place.tolist())
    }


def _edge_ratio(after: Array, change: Array, measured: Mask) -> float:
    """Return the rms of a residual where the result is steepest, over that elsewhere."""
    flat = np.where(measured, after, np.median(after[measured]))
    steepness = ndimage.gaussian_gradient_magnitude(flat, 1.0)
    inner = ndimage.binary_erosion(measured, iterations=2)
    if not inner.any():
        return float("nan")
    steep = inner & (steepness > np.percentile(steepness[inner], 100 - STEEP))
    rest = inner & ~steep
    if not steep.any() or not (change[rest] != 0).any():
        return float("nan")
    return float(np.sqrt(np.mean(change[steep] ** 2) / np.mean(change[rest] ** 2)))


def _area_means(change: Array, measured: Mask) -> Array:
    """Return the means of the squares that are measured whole, [A]."""
    height, width = (side // BLOCK * BLOCK for side in change.shape)
    if min(change.shape) < SMALLEST:
        return np.zeros(0)
    blocks, whole = (
        image[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
        for image in (change, measured)
    )
    means: Array = blocks.mean((1, 3))[whole.all((1, 3))]
    return means
