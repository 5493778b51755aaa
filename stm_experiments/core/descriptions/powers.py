"""Power spectra of many images at once."""

import torch
from torch import Tensor

SMALLEST = 256  # px; smaller images are surrounded by zeros, so that no ring is empty
STEP = 32  # px; others are extended to a multiple of it: Fourier transforms of primes are slow


def hann_powers(images: Tensor) -> Tensor:
    """Return the power of Hann-windowed images [N, H, W] less their weighted means, [N, H', W']."""
    height, width = images.shape[-2:]
    down, across = (
        torch.hann_window(n, dtype=images.dtype, device=images.device) for n in (height, width)
    )
    window = down[:, None] * across
    means = (images * window).sum((-2, -1), keepdim=True) / window.sum()
    size = [max(SMALLEST, -(-side // STEP) * STEP) for side in (height, width)]
    power: Tensor = torch.fft.fft2((images - means) * window, s=size).abs().square()
    return power
