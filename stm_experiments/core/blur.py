"""Gaussian blur of batches of images; for single arrays there is ``scipy.ndimage``."""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad


def gaussian_blur(images: Tensor, deviation: float) -> Tensor:
    """Convolve images with a Gaussian of unit sum; the border is repeated.

    Args:
        images: [N, 1, H, W].
        deviation: Standard deviation, px, above 0.
    """
    reach = max(1, math.ceil(4 * deviation))
    kernel = _gaussian(reach, deviation, torch.float64)
    kernel = (kernel / kernel.sum()).to(images)
    return _convolve(pad(images, (reach,) * 4, mode="replicate"), kernel, padding=0)


def gaussian_sum(images: Tensor, deviation: float) -> Tensor:
    """Sum images under a Gaussian of height 1, as if each image continued around its border.

    At the border the weights that lie inside of the image are scaled to the whole Gaussian's sum.

    Args:
        images: [N, 1, H, W].
        deviation: Standard deviation, px, above 0.
    """
    reach = math.ceil(2 * deviation)
    kernel = _gaussian(reach, deviation, images.dtype).to(images)
    inside = _convolve(torch.ones_like(images[:1]), kernel, padding=reach)
    return _convolve(images, kernel, padding=reach) / (inside / kernel.sum() ** 2)


def _gaussian(reach: int, deviation: float, dtype: torch.dtype) -> Tensor:
    """Return exp(-x^2 / 2 s^2) for x of -reach to reach px."""
    return torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=dtype) / deviation) ** 2)


def _convolve(images: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Convolve along axis 2, then along axis 3, with zeros around."""
    down = conv2d(images, kernel[None, None, :, None], padding=(padding, 0))
    return conv2d(down, kernel[None, None, None, :], padding=(0, padding))
