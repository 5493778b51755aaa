"""The noise that an image itself shows."""

import math
from itertools import pairwise

import numpy as np
import scipy  # its parts are loaded when they are first used
import torch
from numpy.typing import NDArray
from torch import Tensor

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


# Bands of the frequency along the fast axis, cycles per px: whole lines, slow, middle, fast.
_BANDS = (0.0, 0.015, 0.06, 0.2, 0.51)
_HIGH = 0.3  # cycles per px along the slow axis beyond which lattices and terraces are weak


def noise_levels(images: Tensor) -> Tensor:
    """Measure the noise of images by its frequency along the fast axis.

    A scan is recorded line by line: its noise is (nearly) independent from line to line, so that
    its power does not depend on the frequency along the slow axis. The sample is smooth along both
    axes: beyond .3 cycles per px along the slow axis, the noise is nearly alone. Its power there is
    the median of the periodogram, which does not notice the few Bragg peaks of a crystal.

    Args:
        images: [B, 1, H, W].

    Returns:
        Standard deviation per px that white noise of the same power density has, in the bands of
        whole lines, slow, middle and fast changes along the fast axis, [B, 4] float32.
    """
    height, width = images.shape[-2:]
    taper = [torch.blackman_window(n + 1, periodic=True)[1:] for n in (height, width)]
    taper = [window * (len(window) / window.square().sum()).sqrt() for window in taper]
    centred = images[:, 0] - images[:, 0].mean((1, 2), keepdim=True)
    weighted = centred * (taper[0][:, None] * taper[1]).to(images)
    power = torch.fft.rfft2(weighted, norm="ortho").abs().square()
    rows = torch.fft.fftfreq(height).abs() > _HIGH
    columns = torch.fft.rfftfreq(width)
    levels = []
    for low, high in pairwise(_BANDS):
        # A narrow image may have no frequency in a band: the nearest one stands for it.
        nearest = (columns - (low + high) / 2).abs() == (columns - (low + high) / 2).abs().min()
        band = ((columns >= low) & (columns < high)) | nearest
        levels.append(power[:, rows][:, :, band].flatten(1).median(1).values)
    return (torch.stack(levels, 1) / math.log(2)).sqrt()
