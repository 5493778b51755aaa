"""Measures without a truth, from repeated frames of the same area.

Frames are [H, W] in one unit, aligned to each other (``metrics.registration``). What they share is
taken for the sample: an artefact that comes back at the same place in every frame counts as signal.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from stm_experiments.core.arrays import Array, Mask
from stm_experiments.core.intervals import Interval, ratio_and_interval
from stm_experiments.core.planes import subtract_plane

_RING = 3  # width of a ring, frequency steps
_BLOCKS = 6  # along each axis: groups of an interval, as noise is correlated along lines


class RingCorrelation(NamedTuple):
    """The Fourier ring correlation of two frames.

    Attributes:
        frequency: Of each ring, cycles per px, [R].
        correlation: On each ring, [R].
        threshold: The half-bit curve, [R]: above it, both frames together hold more than half a bit
            of information per pixel of the spectrum.
    """

    frequency: Array
    correlation: Array
    threshold: Array

    @property
    def finest_period(self) -> float:
        """Period at which the correlation first falls below the threshold, px.

        It is that of the last ring before; infinite if no ring is above. Finer rings that rise
        above again, such as those of a lattice between which nothing is alike, do not count.
        """
        above = self.correlation > self.threshold
        if not above.any():
            return np.inf
        start = int(above.argmax())
        length = int((~above[start:]).argmax()) or len(above) - start
        return 1 / float(self.frequency[start + length - 1])


class RepeatedError(NamedTuple):
    """The error of an estimate, measured on repeated frames.

    Attributes:
        mse: Mean squared error against the unknown truth and half its 95 % interval, in the square
            of the unit; by chance it can be below 0.
        psnr: uPSNR: 10 log10(range^2 / mse), dB. The range is four standard deviations of the
            sample, which the covariance of the frames tells without their noise. NaN where either
            is not above 0.
    """

    mse: Interval
    psnr: float


def ring_correlation(first: Array, second: Array) -> RingCorrelation:
    """Correlate two aligned frames on rings of equal frequency, under a Hann window.

    The correlation is Re sum(F1 F2*) / sqrt(sum |F1|^2 sum |F2|^2) over rings of three frequency
    steps of the shorter side, which overlap. The half-bit curve is that of van Heel and Schatz,
    J. Struct. Biol. 151, 250 (2005).

    Args:
        first: [H, W], finite.
        second: [H, W], finite.

    Raises:
        ValueError: If the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"frames of {list(first.shape)} and {list(second.shape)} px")
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in first.shape))
    a, b = (np.fft.fft2(subtract_plane(x) * window) for x in (first, second))
    shorter = min(first.shape)
    frequency = np.hypot(*np.ix_(*map(np.fft.fftfreq, first.shape)))
    step = np.rint(frequency * shorter).astype(int).ravel()
    products = ((a * b.conj()).real, np.abs(a) ** 2, np.abs(b) ** 2, np.ones(first.shape))
    cross, one, two, count = (
        np.convolve(np.bincount(step, x.ravel()), np.ones(_RING), "same")[1 : shorter // 2 + 1]
        for x in products
    )
    # Half of a ring repeats the other; a Hann window leaves (2/3)^2 of the frequencies independent.
    root = np.sqrt(count * 2 / 9)
    return RingCorrelation(
        np.arange(1, shorter // 2 + 1) / shorter,
        cross / np.sqrt(np.maximum(one * two, np.finfo(float).tiny)),
        np.minimum((0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root), 1),
    )


def repeated_error(estimate: Array, others: Sequence[Array]) -> RepeatedError:
    """Measure the error of an estimate without the truth, as uMSE and uPSNR.

    The estimate x comes from one frame; two further frames a and b have noise of their own. Then
    the mean of (a - x)(b - x) is the mean squared error of x, without bias and whatever the size of
    the three noises. This is uMSE of arXiv 2210.05553, (a - x)^2 - (a - b)^2 / 2, averaged over
    both orders of a and b; with more frames, over all pairs. A plane is no error.

    Args:
        estimate: The denoised frame or the frame itself, [H, W], finite.
        others: At least two aligned frames that the estimate does not depend on, [H, W], finite.

    Raises:
        ValueError: If there are fewer than two, or the shapes differ.
    """
    if len(others) < 2:
        raise ValueError("the error of a frame is measured with at least two others")
    if any(other.shape != estimate.shape for other in others):
        raise ValueError("the frames have different shapes")
    differences = [subtract_plane(other - estimate) for other in others]
    pairs = list(combinations(differences, 2))
    products = sum(a * b for a, b in pairs) / len(pairs)
    levelled = [subtract_plane(other) for other in others]
    variance = float(np.mean([np.mean(a * b) for a, b in combinations(levelled, 2)]))
    blocks = [
        part
        for rows in np.array_split(products, _BLOCKS)
        for part in np.array_split(rows, _BLOCKS, 1)
    ]
    mse = ratio_and_interval([float(x.sum()) for x in blocks], [x.size for x in blocks])
    known = mse.mean > 0 and variance > 0
    psnr = 10 * np.log10(16 * variance / mse.mean) if known else np.nan
    return RepeatedError(mse, float(psnr))


def common_rectangle(shown: Mask) -> tuple[slice, slice]:
    """Return rows and columns of a rectangle in which all pixels are shown.

    The border with the largest share of missing pixels is cut, again and again.

    Args:
        shown: [H, W].

    Raises:
        ValueError: If nothing is left.
    """
    top, left, (bottom, right) = 0, 0, shown.shape
    while top < bottom and left < right:
        part = shown[top:bottom, left:right]
        if part.all():
            return slice(top, bottom), slice(left, right)
        shares = [part[0].mean(), part[-1].mean(), part[:, 0].mean(), part[:, -1].mean()]
        if min(shares) == 1:  # a hole inside
            row, column = np.argwhere(~part)[0]
            distances = [row, part.shape[0] - 1 - row, column, part.shape[1] - 1 - column]
            shares = [float(distance) for distance in distances]
        side = int(np.argmin(shares))
        top, bottom = top + (side == 0), bottom - (side == 1)
        left, right = left + (side == 2), right - (side == 3)
    raise ValueError("the frames have no rectangle in common")
