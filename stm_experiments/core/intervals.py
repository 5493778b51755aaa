"""Means with 95 % intervals, and peak signal-to-noise ratios."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import stdtrit


class Interval(NamedTuple):
    """A mean and half of its 95 % interval.

    Attributes:
        mean: NaN of no values.
        half: None of fewer than two values.
    """

    mean: float
    half: float | None


def mean_and_interval(values: Sequence[float]) -> Interval:
    """Return the mean of values and half its 95 % interval (Student's t); NaNs are left out."""
    numbers = [value for value in values if not math.isnan(value)]
    if not numbers:
        return Interval(math.nan, None)
    return ratio_and_interval(numbers, [1] * len(numbers))


def ratio_and_interval(sums: Sequence[float], counts: Sequence[int]) -> Interval:
    """Return the mean of all values in several groups, where the group is the unit.

    Values of one group, such as the patches of an image, are not independent. The interval is
    mean -+ t(97.5 %, k - 1) e for k groups, where e is the error of a ratio of sums (Cochran,
    Sampling Techniques, chapter 6):
    e^2 = k / (k - 1) sum_i (n_i (m_i - mean))^2 / (sum_i n_i)^2.
    For equal counts n_i that is the t-interval of the groups' means m_i.

    Args:
        sums: Sum of the values of each group; at least one group.
        counts: Number of values of each group.
    """
    count = sum(counts)
    mean = math.fsum(sums) / count
    k = len(sums)
    if k < 2 or not math.isfinite(mean):
        return Interval(mean, None)
    squares = math.fsum((s - n * mean) ** 2 for s, n in zip(sums, counts, strict=True))
    return Interval(mean, _student(k) * math.sqrt(k / (k - 1) * squares) / count)


def _student(count: int) -> float:
    """Return the 97.5 % quantile of Student's t for the mean of ``count`` values."""
    return float(stdtrit(count - 1, 0.975))


def psnr_of_mse(mse: float, data_range: float = 2.0) -> float:
    """Return the peak signal-to-noise ratio 10 log10(data_range^2 / mse), dB; infinite at 0."""
    return 10 * math.log10(data_range**2 / mse) if mse > 0 else math.inf


def psnr_of_interval(mse: Interval) -> Interval:
    """Return the PSNR of a mean squared error, data range 2; its half to first order, dB."""
    if mse.half is None or not mse.mean > 0:
        return Interval(psnr_of_mse(mse.mean), None)
    return Interval(psnr_of_mse(mse.mean), 10 / math.log(10) * mse.half / mse.mean)
