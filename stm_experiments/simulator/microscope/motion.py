"""Where the tip really was: drift, creep and the jitter of rows distort the scanned geometry.

A line is scanned fast: the sample moves from line to line, not within one. Line r of the image then
shows the sample along line r + d0(r), from column d1(r) on, with a displacement (d0, d1) per line.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.simulator.strengths import (
    Strength,
    bounds,
    check_strengths,
    draw_strength,
    is_off,
    normals,
    uniforms,
)


@dataclass(frozen=True)
class MotionNoise:
    """Strengths of what distorts the geometry; it stays in the clean image.

    Attributes:
        drift: Way of the sample during the image, as a share of the image's side; any direction.
        creep: Way of the sample in the first 20 to 100 lines, as a share of the image's side; the
            logarithm of time. Slowed down where the scan would run backwards over the sample.
        row_jitter: Displacement of each line along itself, standard deviation, px.
        chance: Share of the images that have each of them, independently.
    """

    drift: Strength = 0.0
    creep: Strength = 0.0
    row_jitter: Strength = 0.0
    chance: float = 1.0

    def __post_init__(self) -> None:
        check_strengths(self, ("chance",))


def margin(noise: MotionNoise, jump: Strength, size: int) -> int:
    """How far beyond the image the sample must be drawn for it, px."""
    if is_off(noise.drift) and is_off(noise.creep) and is_off(noise.row_jitter) and is_off(jump):
        return 0
    reach = size * (bounds(noise.drift)[1] / 2 + bounds(noise.creep)[1])
    return math.ceil(reach + 4 * bounds(noise.row_jitter)[1] + bounds(jump)[1]) + 3


def displacement(noise: MotionNoise, size: int, seeds: list[int]) -> Tensor:
    """How far the sample had moved against the scanner at each line.

    Returns:
        Along the image's axes 0 and 1, px, [N, size, 2] float64.
    """
    line = torch.arange(size, dtype=torch.float64)
    moved = torch.zeros(len(seeds), size, 2, dtype=torch.float64)
    if not is_off(noise.drift):
        way = draw_strength(noise.drift, seeds, "drift", noise.chance) * size
        time = (line - (size - 1) / 2) / size
        moved += time[:, None] * (way[:, None] * _direction(seeds, "drift direction"))[:, None]
    if not is_off(noise.creep):
        way = draw_strength(noise.creep, seeds, "creep", noise.chance) * size
        lines = (20 + 80 * uniforms(seeds, "creep time", 1)) * min(1, size / 257)
        # The steepest slope, at the first line, stays below one half: a line sees the sample once.
        way = torch.minimum(way, 0.5 * math.log(6) * lines[:, 0] / 5)
        left = 1 - torch.log1p(5 * line / lines) / math.log(6)
        moved -= (left.clamp(min=0) * way[:, None])[..., None] * _direction(
            seeds, "creep direction"
        )[:, None]
    if not is_off(noise.row_jitter):
        deviation = draw_strength(noise.row_jitter, seeds, "row jitter", noise.chance)
        rows = normals(seeds, "rows that jitter", size).clamp(-4, 4)
        moved[..., 1] += deviation[:, None] * rows
    return moved


def _direction(seeds: list[int], name: str) -> Tensor:
    """A unit vector in any direction, [N, 2]."""
    angle = 2 * math.pi * uniforms(seeds, name, 1)
    return torch.cat((angle.cos(), angle.sin()), 1)


def scan_lines(sample: Tensor, moved: Tensor, border: int) -> Tensor:
    """What the scan sees of a sample, by Lagrange's interpolation through 6 px along each axis.

    Args:
        sample: Drawn with ``border`` px around the image, [N, 1, H + 2 border, W + 2 border].
        moved: Displacement at each line, px, [N, H, 2].
        border: Margin of the sample, px.

    Returns:
        The images, [N, 1, H, W]. For Gaussians of sigma 2 px they are exact to 1 in 1000.
    """
    images, lines = moved.shape[:2]
    width = sample.shape[-1] - 2 * border
    moved = moved.to(sample.device)
    first, weights = _taps(moved[..., 0] + torch.arange(lines, device=sample.device) + border)
    image = torch.arange(images, device=sample.device)[:, None]
    seen = torch.zeros(images, lines, sample.shape[-1], device=sample.device)
    for k in range(6):
        index = (first + k).clamp(0, sample.shape[-2] - 1)
        seen.addcmul_(sample[image, 0, index], weights[..., k, None])
    first, weights = _taps(moved[..., 1] + border)
    column = first[..., None] + torch.arange(width + 5, device=sample.device)
    seen = seen.gather(2, column.clamp_(0, sample.shape[-1] - 1))
    shifted = torch.zeros(images, lines, width, device=sample.device)
    for k in range(6):
        shifted.addcmul_(seen[..., k : k + width], weights[..., k, None])
    return shifted[:, None]


def _taps(position: Tensor) -> tuple[Tensor, Tensor]:
    """First of the 6 px around each position, and their weights, [..., 6] float32."""
    pixel = position.floor()
    fraction = position - pixel
    weights = []
    for k in range(-2, 4):
        weight = torch.ones_like(fraction)
        for j in range(-2, 4):
            if j != k:
                weight = weight * ((fraction - j) / (k - j))
        weights.append(weight)
    return pixel.long() - 2, torch.stack(weights, -1).float()


def scan_labels(labels: Tensor, moved: Tensor, border: int) -> Tensor:
    """The same for a map of labels, to the nearest px, [N, H + 2 border, W + 2 border, ...]."""
    images, lines = moved.shape[:2]
    width = labels.shape[2] - 2 * border
    row = (moved[..., 0] + torch.arange(lines) + border).round().long()
    column = (moved[..., 1] + border).round().long()[..., None] + torch.arange(width)
    row, column = row.clamp(0, labels.shape[1] - 1), column.clamp(0, labels.shape[2] - 1)
    return labels[torch.arange(images)[:, None, None], row[..., None], column]


def seen_at(u: Tensor, v: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
    """Where the scan sees points of the sample.

    Args:
        u: Where they are along axis 0, px of an image without motion, [N, A] float64.
        v: The same along axis 1.
        moved: Displacement at each line, px, [N, H, 2].

    Returns:
        Their places in the image, px, [N, A] each. Points outside move with the nearest line.
    """
    lines = moved.shape[1]
    shows = (moved[..., 0] + torch.arange(lines)).cummax(1).values.contiguous()
    after = torch.searchsorted(shows, u.contiguous()).clamp(1, lines - 1)
    low, high = shows.gather(1, after - 1), shows.gather(1, after)
    share = ((u - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
    row = after - 1 + share
    outside = u - (low + share * (high - low))
    column = v - moved[..., 1].gather(1, row.round().long())
    return row + outside, column
