"""Classical corrections of rows: offsets between scan lines, and damaged lines."""

import numpy as np
import scipy
from numpy.typing import NDArray

from stm_experiments.models.baselines.filters import Filter, Image


class RowMedian(Filter):
    """A filter that gives every row the same median.

    It removes everything that is constant along a row, which includes atomic rows and step edges
    along it.
    """

    label = "row median"

    def filter_image(self, image: Image) -> Image:
        """Filter one image [H, W]; the median of the rows' medians stays."""
        medians = np.median(image, axis=1, keepdims=True)
        return image - (medians - np.median(medians))


class MedianOfDifferences(Filter):
    """A filter that subtracts each row's median difference to the row before.

    The sums of the differences are the offsets of the rows, whatever the slow topography is. Errors
    add up too, and a tilt across the rows is lost with the offsets.
    """

    label = "median of differences"

    def filter_image(self, image: Image) -> Image:
        """Filter one image [H, W]; its median stays."""
        steps = np.median(np.diff(image.astype(np.float64), axis=0), axis=1)
        levelled = image - np.concatenate(([0.0], np.cumsum(steps)))[:, None]
        return (levelled - np.median(levelled) + np.median(image)).astype(np.float32)


class DetectAndInterpolate(Filter):
    """A filter that replaces damaged rows by a cubic spline through the good rows.

    A row is damaged if its mean absolute second difference along the row exceeds the median of all
    rows by more than ``threshold`` times their median absolute deviation. This detects rows of
    noise and rows in which a scar begins or ends; a constant offset has no second difference.

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

    def damaged(self, image: Image) -> NDArray[np.bool_]:
        """Return a mask of the damaged rows of an image [H, W], [H] bool."""
        roughness = np.abs(np.diff(image, 2, axis=1)).mean(1)
        median = np.median(roughness)
        deviation = np.median(np.abs(roughness - median))
        damaged: NDArray[np.bool_] = roughness > median + self.threshold * deviation
        return damaged

    def filter_image(self, image: Image) -> Image:
        """Filter one image [H, W]; it stays as it is where fewer than four rows are good."""
        damaged = self.damaged(image)
        good = np.flatnonzero(~damaged)
        if not damaged.any() or len(good) < 4:
            return image
        output = image.copy()
        # A spline diverges outside of the good rows.
        rows = np.flatnonzero(damaged).clip(good[0], good[-1])
        output[damaged] = scipy.interpolate.CubicSpline(good, image[good], axis=0)(rows)
        return output
