"""Classical corrections of rows: offsets between scan lines, and lines that are spoilt."""

import numpy as np
import scipy
from numpy.typing import NDArray

from stm_experiments.models.baselines.filters import Filter, Image


class RowMedian(Filter):
    """Gives every row the same median.

    It takes off what is constant along a row, but also the part of an atomic row or a step edge
    that runs along it.
    """

    label = "row median"

    def denoise(self, image: Image) -> Image:
        """One image [H, W] -> the same shape, with the same median of the rows' medians."""
        medians = np.median(image, axis=1, keepdims=True)
        return image - (medians - np.median(medians))


class MedianOfDifferences(Filter):
    """Takes off each row's median difference to the row before it.

    The differences are added up, so the offsets of the rows are found whatever the topography does
    slowly; errors add up too, and a tilt across the rows is lost with the offsets.
    """

    label = "median of differences"

    def denoise(self, image: Image) -> Image:
        """One image [H, W] -> the same shape and median."""
        steps = np.median(np.diff(image.astype(np.float64), axis=0), axis=1)
        levelled = image - np.concatenate(([0.0], np.cumsum(steps)))[:, None]
        return (levelled - np.median(levelled) + np.median(image)).astype(np.float32)


class DetectAndInterpolate(Filter):
    """Replaces spoilt rows by a cubic spline through the good rows above and below.

    A row is spoilt if its mean absolute second difference along the row exceeds the rows' median by
    more than ``threshold`` times their median absolute deviation. That finds rows replaced by noise
    and rows with scars that begin or end; a constant offset has no second difference.

    Args:
        threshold: Median absolute deviations above the median.

    Raises:
        ValueError: If the threshold is not above 0.
    """

    label = "detect and interpolate"

    def __init__(self, threshold: float = 6.0) -> None:
        super().__init__()
        if not threshold > 0:
            raise ValueError(f"the threshold is above 0, not {threshold!r}")
        self.threshold = threshold

    def spoilt(self, image: Image) -> NDArray[np.bool_]:
        """Which rows of an image [H, W] are spoilt, [H] bool."""
        roughness = np.abs(np.diff(image, 2, axis=1)).mean(1)
        median = np.median(roughness)
        deviation = np.median(np.abs(roughness - median))
        return roughness > median + self.threshold * deviation

    def denoise(self, image: Image) -> Image:
        """One image [H, W] -> the same shape; as it is where fewer than four rows are good."""
        spoilt = self.spoilt(image)
        good = np.flatnonzero(~spoilt)
        if not spoilt.any() or len(good) < 4:
            return image
        output = image.copy()
        rows = np.flatnonzero(spoilt).clip(good[0], good[-1])  # a spline runs away at the border
        output[spoilt] = scipy.interpolate.CubicSpline(good, image[good], axis=0)(rows)
        return output
