"""A smooth displacement of the sample's atoms: local strain."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.simulator.strengths import Strength, draw_strength, uniforms

_LENGTHS = (80.0, 130.0, 210.0)  # on which the strain varies, px


@dataclass(frozen=True)
class Strain:
    """Displacements of N images: sums of transverse and longitudinal waves.

    Attributes:
        strength: No local strain (a derivative of the displacement) is larger, [N].
        wave: Wave vectors along axes 0 and 1, rad/px, [N, 3, 2].
        phase: Their phases, rad, [N, 3].
        amplitude: Displacements at their crests along axes 0 and 1, px, [N, 3, 2].
    """

    strength: Tensor
    wave: Tensor
    phase: Tensor
    amplitude: Tensor

    def at(self, u: Tensor, v: Tensor) -> Tensor:
        """Displacements at points.

        Args:
            u: Along axis 0 from pixel size // 2, px, [N, ...] or broadcasting with ``v``.
            v: The same along axis 1.

        Returns:
            Along axes 0 and 1, px, [2, N, ...] float64.
        """
        each = (-1, *(1,) * (u.ndim - 1))
        moved: list[Tensor | float] = [0.0, 0.0]
        for k in range(len(_LENGTHS)):
            wave, amplitude = self.wave[:, k], self.amplitude[:, k]
            angle = wave[:, 0].view(each) * u + wave[:, 1].view(each) * v
            height = torch.sin(angle + self.phase[:, k].view(each))
            moved = [x + amplitude[:, i].view(each) * height for i, x in enumerate(moved)]
        return torch.stack([torch.as_tensor(x) for x in moved])

    def field(self, size: int) -> Tensor:
        """Displacements at the pixels of images of ``size`` px, [N, size, size, 2]."""
        r = torch.arange(size, dtype=torch.float64) - size // 2
        return self.at(r[None, :, None], r[None, None]).movedim(0, -1)


def draw_strain(strength: Strength, seeds: list[int]) -> Strain:
    """Strains of a strength, one per image."""
    strain = draw_strength(strength, seeds, "strain")
    draws = 2 * math.pi * uniforms(seeds, "strain waves", 9).view(-1, 3, 3)
    along, polarised, phase = draws.unbind(2)
    number = 2 * math.pi / torch.tensor(_LENGTHS, dtype=torch.float64)
    amplitude = strain[:, None] / (len(_LENGTHS) * number)
    return Strain(
        strength=strain,
        wave=number[:, None] * torch.stack((along.cos(), along.sin()), 2),
        phase=phase,
        amplitude=amplitude[..., None] * torch.stack((polarised.cos(), polarised.sin()), 2),
    )
