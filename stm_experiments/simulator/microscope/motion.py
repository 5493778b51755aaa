"""Motion of the sample against the scanner: drift, creep and the jitter of rows."""

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
    """Strengths of what distorts the geometry; the clean image is distorted too.

    Attributes:
        drift: Distance by which the sample drifts during the image, as a share of the image's side;
            any direction.
        creep: Distance by which the sample creeps during the first 20 to 100 lines, as a share of
            the image's side, as the logarithm of time. Shorter where the scan would otherwise run
            backwards over the sample.
        row_jitter: Displacement of each line along itself, standard deviation, px.
        chance: Share of the images that have each of them, independently.
    """

    drift: Strength = 0.0
    creep: Strength = 0.0
    row_jitter: Strength = 0.0
    chance: float = 1.0

    def __post_init__(self) -> None:
        check_strengths(self, single=("chance",))

    def border(self, jump: float, size: int) -> int:
        """Return by how much the sample must be larger than the image on each side, px.

        Args:
            jump: Largest additional displacement of a line, px.
            size: Image height and width, px.
        """
        if not jump and all(is_off(x) for x in (self.drift, self.creep, self.row_jitter)):
            return 0
        reach = size * (bounds(self.drift)[1] / 2 + bounds(self.creep)[1])
        return math.ceil(reach + 4 * bounds(self.row_jitter)[1] + jump) + 3

    def draw(self, size: int, seeds: list[int]) -> Tensor:
        """Draw the displacement of the sample against the scanner at each line.

        Returns:
            Along the image's axes 0 and 1, px, [N, size, 2] float64.
        """
        line = torch.arange(size, dtype=torch.float64)
        moved = torch.zeros(len(seeds), size, 2, dtype=torch.float64)
        if not is_off(self.drift):
            distance = draw_strength(self.drift, seeds, "drift", self.chance) * size
            time = (line - (size - 1) / 2) / size
            vector = distance[:, None] * _directions(seeds, "drift direction")
            moved += time[:, None] * vector[:, None]
        if not is_off(self.creep):
            distance = draw_strength(self.creep, seeds, "creep", self.chance) * size
            lines = (20 + 80 * uniforms(seeds, "creep time", 1)) * min(1, size / 257)
            # The steepest slope, at the first line, is at most one half: no line of the sample is
            # scanned twice.
            distance = torch.minimum(distance, 0.5 * math.log(6) * lines[:, 0] / 5)
            remaining = 1 - torch.log1p(5 * line / lines) / math.log(6)
            moved -= (remaining.clamp(min=0) * distance[:, None])[..., None] * _directions(
                seeds, "creep direction"
            )[:, None]
        if not is_off(self.row_jitter):
            deviation = draw_strength(self.row_jitter, seeds, "row jitter", self.chance)
            rows = normals(seeds, "rows that jitter", size).clamp(-4, 4)
            moved[..., 1] += deviation[:, None] * rows
        return moved


def _directions(seeds: list[int], name: str) -> Tensor:
    """Draw a unit vector in any direction for each image, [N, 2]."""
    angle = 2 * math.pi * uniforms(seeds, name, 1)
    return torch.cat((angle.cos(), angle.sin()), 1)
