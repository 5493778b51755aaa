"""Features that occur once: what a smooth estimate of an image has lost of them."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stm_experiments.core.arrays import Array

CERTAIN = 5.5  # deviations of what was removed, from which it is no noise
_WIDTHS = (1.0, 2.0, 4.0)  # px, standard deviations of the features that are looked for
_CLIPPED = 3.0  # deviations of single pixels: an impulse is no feature
_AROUND = 8.0  # px, within which the noise is as strong
_LINE = 12.0  # px, along the fast axis; what goes on so far is a scar or another noise of lines
_NORMAL_MEDIAN = 0.6745  # median of |x| for x ~ N(0, 1)


class SingleFeatures(NamedTuple):
    """What an estimate has lost of features that occur once.

    Attributes:
        heights: To be added to the estimate, [H, W].
        share: Of the pixels that change.
    """

    heights: Tensor
    share: float


def lost_features(image: Tensor, estimate: Tensor) -> SingleFeatures:
    """Find what is no noise in the difference of an image and its estimate.

    Filters of the image's own patches know perfect cells, and fill a vacancy in strong noise. What
    they removed has then a spot of the size of an atom that is higher or deeper than the noise can
    be. The difference is smoothed by Gaussians of 1, 2 and 4 px, as if it were 0 beyond the border.
    Where the result exceeds 5.5 of its own deviations, it is returned; its deviation is robust, and
    larger where the noise is. What goes on along the fast axis, such as a scar, is noise.

    Args:
        image: [H, W].
        estimate: [H, W].
    """
    removed = (image - estimate).float().cpu().numpy()
    level = _deviation(removed)
    heights, changed = np.zeros_like(removed), np.zeros(removed.shape, bool)
    if level > 0:
        removed = removed.clip(-_CLIPPED * level, _CLIPPED * level)
        noise = np.sqrt(ndimage.gaussian_filter(removed**2, _AROUND))
        noise = (noise / np.median(noise)).clip(min=1)
        for width in _WIDTHS:
            rest = removed - heights
            smooth = ndimage.gaussian_filter(rest, width, mode="constant")
            certain = np.abs(smooth) > CERTAIN * _deviation(smooth) * noise
            along = ndimage.gaussian_filter(rest, (width, _LINE), mode="constant")
            certain &= along * np.sign(smooth) < np.abs(smooth) / 2
            near = ndimage.maximum_filter(certain, 2 * math.ceil(1.5 * width) + 1)
            weight = ndimage.gaussian_filter(near.astype(np.float32), max(width / 2, 0.7))
            # What smoothing takes from the feature is added by a second pass (twicing).
            missed = ndimage.gaussian_filter(rest - smooth, width, mode="constant")
            heights += weight * (smooth + missed)
            changed |= near
    return SingleFeatures(torch.from_numpy(heights).to(image), float(changed.mean()))


def _deviation(values: Array) -> float:
    """Return the standard deviation by the median, which few features do not raise."""
    return float(np.median(np.abs(values - np.median(values)))) / _NORMAL_MEDIAN
