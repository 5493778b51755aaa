"""The power of an image in rings of equal frequency."""

import torch
from torch import Tensor

from stm_experiments.core.descriptions.powers import hann_powers

RINGS = 108  # from frequency 0 to 1/2 cycles per px
SLOW = 4  # rings left out: periods above 54 px are slopes and waves of the instrument
FAINTEST = 1e-7  # power relative to the strongest ring, below which nothing is told apart
LENGTH = RINGS - SLOW


def radial_spectrum(images: Tensor) -> Tensor:
    """Return the logarithm of the power in rings of equal frequency.

    It depends neither on a shift of the lattice nor on its direction in the image; a ring is 1/216
    cycles per px wide, for images of every size.

    Args:
        images: [N, 1, H, W].

    Returns:
        [N, 104] float32, the lowest frequency first.
    """
    power = hann_powers(images[:, 0].float())
    rows, columns = (torch.fft.fftfreq(n, device=power.device) for n in power.shape[-2:])
    ring = (torch.hypot(rows[:, None], columns) * 2 * RINGS).long().flatten() - SLOW
    inside = (ring >= 0) & (ring < LENGTH)
    counts = ring[inside].bincount(minlength=LENGTH)
    sums = power.new_zeros(len(power), LENGTH)
    means = sums.index_add_(1, ring[inside], power.flatten(1)[:, inside]) / counts
    faintest = FAINTEST * means.amax(1, keepdim=True)
    return torch.maximum(means, faintest.clamp(min=torch.finfo(means.dtype).tiny)).log()
