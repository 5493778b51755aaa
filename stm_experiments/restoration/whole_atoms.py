"""Which atoms of a denoised scan may be none, and where one may be missing."""

import json
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from stm_experiments.core.arrays import Array, Mask, Points
from stm_experiments.models.checkpoint import WEIGHTS

CALIBRATED = WEIGHTS / "whole_atoms.json"
ATOM = 0.5  # of the usual rise: what rises by more is an atom
NONE = 0.25  # of the usual rise: what rises by less is none
_USUAL = 0.9  # quantile of the rises of all maxima
_BAND = (0.16, 0.55)  # widths of the band-pass, periods
_REACH = 0.25  # of a maximum, periods
_LEAST = 1e-9  # of the largest height: lower rises are rounding
_FINEST = 0.7  # px, of the Gaussian before derivatives are taken
_ALONG = 0.02  # mean squared slope along crests over that across, below which they are stripes


class Calibration(NamedTuple):
    """How sure an atom has to be; ``benchmarks.whole_atoms`` calibrates it.

    Attributes:
        threshold: Least score of a certain atom, and of a place that is certainly empty.
        share: Of the atoms of a scan that are wrong without being marked, mean over scans, at most.
        confidence: That ``share`` holds.
        scans: Simulated scans of the calibration.
    """

    threshold: float
    share: float
    confidence: float
    scans: int


class Rises(NamedTuple):
    """How far every place of a denoised scan rises above its surroundings.

    Attributes:
        period: Typical distance of maxima, px.
        heights: The band-passed result, [H, W].
        usual: Rise of the high atoms.
    """

    period: float
    heights: Array
    usual: float

    @property
    def reach(self) -> int:
        """Places within this distance along both axes are the same, px."""
        return max(1, round(_REACH * self.period))

    @property
    def are_stripes(self) -> bool:
        """Whether the heights change along one direction only."""
        slopes = np.stack([part.ravel() for part in np.gradient(self.heights)])
        along, across = np.linalg.eigvalsh(slopes @ slopes.T)
        return bool(along < _ALONG * across)

    def of(self, image: Array) -> Array:
        """Return the rises in another image of the same surface, [H, W]."""
        return band_passed(image, self.period)

    def spread_of_removed(self, image: Array) -> float:
        """Return the robust deviation of the rises in what the result lacks of an image."""
        removed = self.of(image) - self.heights
        return 1.4826 * float(np.median(np.abs(removed - np.median(removed))))

    def highest_near(self, heights: Array) -> Array:
        """Return the highest rise within reach of each px, [H, W]."""
        near: Array = ndimage.maximum_filter(heights, 2 * self.reach + 1)
        return near

    def maxima(self, heights: Array) -> Mask:
        """Return the maxima off the border, [H, W] bool."""
        inside = np.zeros(heights.shape, bool)
        inside[2:-2, 2:-2] = True
        return np.asarray(inside & (heights == self.highest_near(heights)))


class AtomScores(NamedTuple):
    """The atoms of a result, and the places without an atom where one is most likely.

    Attributes:
        atoms: Row and column, px, [P, 2].
        present: Rise above ``NONE`` of the usual one, over the expected error, [P].
        gaps: Row and column, px, [Q, 2].
        absent: How far the scan's rise stays below ``ATOM`` of the usual one, over the expected
            error, [Q].
    """

    atoms: Points
    present: Array
    gaps: Points
    absent: Array


class UncertainAtoms(NamedTuple):
    """Atoms of a denoised scan that are not certain.

    Attributes:
        invented: Maxima of the result that may be no atoms: made by the denoiser, or noise that
            stayed; row and column, px, [P, 2].
        lost: Places where the result has no atom and one may be, [Q, 2].
        certain: Number of the other atoms.
        calibration: What "certain" means.
    """

    invented: Points
    lost: Points
    certain: int
    calibration: Calibration

    def sentence(self) -> str:
        """Say how many there are, and what is guaranteed."""
        total = self.certain + len(self.invented)
        if not self.certain:
            return (
                f"of the {total} maxima none is certain to be an atom: read no single atom from "
                "this result"
            )
        share, confidence = self.calibration.share, self.calibration.confidence
        return (
            f"{self.certain} of {total} atoms are certain, {len(self.invented)} may be none, "
            f"and at {len(self.lost)} places one may be missing; over scans of crystals like the "
            f"{self.calibration.scans} simulated ones of the calibration, on average at most "
            f"{share:.0%} of the atoms are wrong without a mark ({confidence:.0%} confidence)"
        )


@cache
def calibration() -> Calibration:
    """Return the calibration that ships."""
    return Calibration(**json.loads(CALIBRATED.read_text(encoding="utf-8")))


def find_uncertain_atoms(
    image: Array, output: Array, deviation: Array, measured: Mask
) -> UncertainAtoms:
    """Mark the atoms of a denoised scan that may be none, and places where one may be missing.

    The maxima along the crests of a single wave, such as a hum, are no atoms.

    Args:
        image: The scan, [H, W].
        output: The denoised scan, [H, W].
        deviation: The stated deviation of each px of it, [H, W].
        measured: Places elsewhere are left out, [H, W] bool.
    """
    rises = find_rises(output)
    atoms, present, gaps, absent = score_atoms(image, output, deviation, rises)
    if rises.are_stripes:
        present = np.full_like(present, -np.inf)
    known, empty = (measured[tuple(places.T.astype(int))] for places in (atoms, gaps))
    threshold = calibration().threshold
    return UncertainAtoms(
        invented=atoms[known & (present < threshold)],
        lost=gaps[empty & (absent < threshold)],
        certain=int((known & (present >= threshold)).sum()),
        calibration=calibration(),
    )


def find_rises(output: Array) -> Rises:
    """Measure the typical distance of the maxima of a result, and their usual rise.

    The distance is that of a wave with the same ratio of mean squared slope and curvature.
    """
    smooth = ndimage.gaussian_filter(output, _FINEST)
    slope = sum(float(np.mean(part**2)) for part in np.gradient(smooth))
    curvature = float(np.mean(ndimage.laplace(smooth) ** 2))
    period = 2 * np.pi * np.sqrt(slope / curvature) if curvature > 0 else min(output.shape)
    period = float(np.clip(period, 3, min(output.shape)))
    heights = band_passed(output, period)
    rises = Rises(period, heights, 0.0)
    least = _LEAST * float(np.abs(output).max())
    highest = heights[rises.maxima(heights) & (heights > least)]
    return rises._replace(usual=float(np.quantile(highest, _USUAL))) if highest.size else rises


def band_passed(image: Array, period: float) -> Array:
    """Return the rise of each px above its surroundings, [H, W]."""
    narrow, wide = (ndimage.gaussian_filter(image, share * period) for share in _BAND)
    rises: Array = narrow - wide
    return rises


def score_atoms(image: Array, output: Array, deviation: Array, rises: Rises) -> AtomScores:
    """Score the atoms of a result, and the places without one where one is most likely.

    The expected error of a rise is the stated deviation, and the spread of the rises of what was
    removed (its median absolute deviation).

    Args:
        image: The scan, [H, W].
        output: The denoised scan, [H, W].
        deviation: The stated deviation of each px of it, [H, W].
        rises: Of the denoised scan.
    """
    usual = rises.usual
    if usual <= 0:  # a constant image
        return AtomScores(np.empty((0, 2)), np.empty(0), np.empty((0, 2)), np.empty(0))
    recorded = rises.of(image)
    error = np.hypot(rises.spread_of_removed(image), np.maximum(deviation, 1e-9 * usual))
    atoms = rises.maxima(rises.heights) & (rises.heights >= ATOM * usual)
    absent = (ATOM * usual - recorded) / error
    absent[rises.highest_near(rises.heights) >= NONE * usual] = np.inf
    gaps = rises.maxima(-absent) & np.isfinite(absent)
    return AtomScores(
        atoms=np.argwhere(atoms).astype(float),
        present=(rises.heights[atoms] - NONE * usual) / error[atoms],
        gaps=np.argwhere(gaps).astype(float),
        absent=absent[gaps],
    )
