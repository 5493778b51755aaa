"""The autocorrelation of an image, free of the lattice's scale and direction."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.descriptions.powers import hann_powers

RADII = 40  # from 0.3 to 3.2 mean periods of the image
ANGLES = 64  # of half a circle; the other half is the same
HARMONICS = 7
NEAREST, FARTHEST = 0.3, 3.2  # mean periods
SLOWEST, FASTEST = 0.03, 0.35  # frequencies that count for the mean period, cycles per px
RING = 1 / 60  # width of the rings whose mean level is the background, cycles per px
PROMINENCE = 4  # a peak is what is above so many times the background


def autocorrelation(images: Tensor) -> Tensor:
    """Return the autocorrelation by distance in mean periods, and by harmonics of the angle.

    The mean period makes it independent of the scale, the magnitude of the harmonics of the
    direction and the mirror image, the autocorrelation itself of shifts, its size (the root mean
    square of all numbers is 1) of the contrast.

    Args:
        images: [N, 1, H, W].

    Returns:
        [N, 40 * 7] float32: seven harmonics (of half a turn) of each distance, the nearest first.
    """
    power = hann_powers(images[:, 0].float())
    correlation = torch.fft.fftshift(torch.fft.ifft2(power).real, dim=(-2, -1))
    distances = torch.linspace(NEAREST, FARTHEST, RADII, device=power.device)
    rings = _sample_rings(correlation, mean_periods(power)[:, None] * distances)
    harmonics = torch.fft.rfft(rings, norm="forward").abs()[..., :HARMONICS].flatten(1)
    size = harmonics.square().mean(1, keepdim=True).sqrt()
    described: Tensor = harmonics / size.clamp(min=torch.finfo(power.dtype).tiny)
    return described


def mean_periods(power: Tensor) -> Tensor:
    """Return the geometric mean of the periods, weighted by the power of the peaks, px, [N].

    Args:
        power: From ``hann_powers``, [N, H, W].
    """
    around = F.pad(power[:, None], (1, 1, 1, 1), mode="circular")
    smooth = F.avg_pool2d(around, 3, 1)[:, 0].flatten(1)
    rows, columns = (torch.fft.fftfreq(n, device=power.device) for n in power.shape[-2:])
    frequency = torch.hypot(rows[:, None], columns).flatten()
    counts = (frequency > SLOWEST) & (frequency < FASTEST)
    smooth, frequency = smooth[:, counts], frequency[counts]
    ring = (frequency / RING).long()
    levels = smooth.clamp(min=torch.finfo(power.dtype).tiny).log()
    sums = levels.new_zeros(len(levels), int(ring.max()) + 1).index_add_(1, ring, levels)
    background = (sums / ring.bincount()).exp()[:, ring]
    peaks = (smooth - PROMINENCE * background).clamp(min=0)
    peaks = peaks + torch.finfo(power.dtype).tiny  # without any peak, all frequencies alike
    weights = peaks / peaks.sum(1, keepdim=True)
    return (-(weights * frequency.log()).sum(1)).exp()


def _sample_rings(correlation: Tensor, distances: Tensor) -> Tensor:
    """Return the values on half circles.

    Args:
        correlation: [N, H, W], the middle at H // 2, W // 2.
        distances: Radii, px, [N, R].

    Returns:
        [N, R, A].
    """
    height, width = correlation.shape[-2:]
    angles = torch.arange(ANGLES, device=correlation.device) * (math.pi / ANGLES)
    x = width // 2 + distances[..., None] * angles.cos()
    y = height // 2 + distances[..., None] * angles.sin()
    places = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
    rings: Tensor = F.grid_sample(correlation[:, None], places, align_corners=True)[:, 0]
    return rings
