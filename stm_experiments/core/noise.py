"""The white noise that an image itself shows."""

import numpy as np
import scipy  # its parts are loaded when they are first used
from numpy.typing import NDArray

# Second difference along both axes, of unit gain for white noise: blind to planes and, for the most
# part, to atoms of several px, so that it passes noise alone (Immerkaer, CVIU 64, 300 (1996)).
_NOISE_ONLY = np.outer((1, -2, 1), (1, -2, 1)).astype(np.float32) / 6
_NORMAL_MEDIAN = 0.6745  # median of |x| for x ~ N(0, 1)


def noise_sigma(image: NDArray[np.floating]) -> float:
    """Return the standard deviation of the white noise in an image, in the image's unit.

    The median absolute second difference along both axes over its value for unit normal noise.
    Atoms narrower than about 4 px (full width) count as noise. Noise that is correlated from pixel
    to pixel, such as 1/f noise along a row, does not count.

    Args:
        image: [H, W], at least 3 px each way.
    """
    differences = scipy.ndimage.convolve(image, _NOISE_ONLY)[1:-1, 1:-1]
    return float(np.median(np.abs(differences))) / _NORMAL_MEDIAN if differences.size else 0.0
