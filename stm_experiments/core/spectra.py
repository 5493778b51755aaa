"""Hann-windowed power spectra and their Bragg peaks."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

_RING = 4  # width of the rings of equal radius whose median is a background, frequency steps
_COLUMN = 41  # reach of the median along a column, frequency steps


class BraggPeaks(NamedTuple):
    """Peaks of a spectrum, the strongest first; one of each pair G, -G.

    Attributes:
        place: Rows and columns in ``hann_power``, [P, 2] int64.
        frequency: Frequencies along axes 0 and 1 to a fraction of a step, cycles per px, [P, 2].
        power: Power at the place, [P].
    """

    place: Tensor
    frequency: Tensor
    power: Tensor


def hann_power(image: Tensor, *, periodic: bool = True) -> Tensor:
    """Return the power |F|^2 of the Hann-windowed image less its weighted mean.

    Args:
        image: [H, W]; the precision of the result is that of the image.
        periodic: Window of H and W periods; else symmetric, with zeros at both borders.

    Returns:
        [H, W], frequency 0 first.
    """
    rows, columns = (
        torch.hann_window(n, periodic=periodic, dtype=image.dtype, device=image.device)
        for n in image.shape
    )
    window = rows[:, None] * columns
    mean = (image * window).sum() / window.sum()
    power: Tensor = torch.fft.fft2((image - mean) * window).abs().square()
    return power


def bragg_peaks(
    power: Tensor,
    *,
    prominence: float,
    most: int,
    reach: int = 2,
    least_radius: float = 3.0,
    weakest: float = 0.0,
    along_columns: bool = False,
) -> BraggPeaks:
    """Find the peaks of a spectrum.

    A peak is the largest value within ``reach`` steps and stands out of the median power of its
    ring: of the frequencies of about equal radius. A step is 1 / the shorter side of the image.

    Args:
        power: From ``hann_power``, [H, W].
        prominence: Least power over that of the ring.
        most: Number of peaks at most.
        reach: Frequency steps.
        least_radius: Peaks at this distance from frequency 0, or nearer, do not count; steps.
        weakest: Least power, relative to the strongest peak.
        along_columns: A peak also stands out of the median along its own column of the spectrum,
            which holds what is constant along the image's rows: row offsets and 1/f noise.
    """
    height, width = power.shape
    u, v = (  # steps
        torch.fft.fftfreq(n, 1 / n, dtype=power.dtype, device=power.device) for n in power.shape
    )
    shorter = min(height, width)
    radius = torch.hypot(u[:, None] * (shorter / height), v * (shorter / width))
    background = _ring_median(power, (radius / _RING).long())
    around = pad(power[None, None], (reach,) * 4, mode="circular")
    highest = max_pool2d(around, 2 * reach + 1, 1)[0, 0]
    half = (u[:, None] > 0) | ((u[:, None] == 0) & (v > 0))  # holds one of each pair
    is_peak = (power == highest) & half & (radius > least_radius)
    is_peak &= power > prominence * background
    place, height_of = is_peak.nonzero(), power[is_peak]
    if along_columns:
        clear = height_of > prominence * _column_median(power, place)
        place, height_of = place[clear], height_of[clear]
    order = height_of.argsort(descending=True)[:most]
    if len(order):
        order = order[height_of[order] >= weakest * height_of.max()]
    place = place[order]
    # The logarithm of a Hann window's peak is close to a parabola at its top.
    logs = power.clamp(min=torch.finfo(power.dtype).tiny).log()
    offset = torch.stack([_vertex(logs, place, axis) for axis in (0, 1)], 1)
    sides = torch.tensor([height, width], device=power.device)
    frequency = (torch.stack([u[place[:, 0]], v[place[:, 1]]], 1) + offset) / sides
    return BraggPeaks(place, frequency, height_of[order])


def _ring_median(power: Tensor, ring: Tensor) -> Tensor:
    """Return for each frequency the median power of its ring, [H, W]."""
    members = ring.flatten().argsort()
    rings = power.flatten()[members].split(ring.flatten().bincount().tolist())
    return torch.stack([values.median() for values in rings])[ring]


def _column_median(power: Tensor, place: Tensor) -> Tensor:
    """Return the median power around each place [P, 2] along its column, [P]."""
    reach = torch.arange(_COLUMN, device=power.device) - _COLUMN // 2
    rows = (place[:, :1] + reach) % len(power)
    return power[rows, place[:, 1:]].median(1).values


def _vertex(logs: Tensor, place: Tensor, axis: int) -> Tensor:
    """Return the place of the maximum of the parabola through a peak, steps from its middle."""
    middle = logs[tuple(place.T)]
    before, after = (logs.roll(shift, axis)[tuple(place.T)] for shift in (1, -1))
    bend = (before - 2 * middle + after).clamp(max=-1e-6)
    return (0.5 * (before - after) / bend).clamp(-0.5, 0.5)
