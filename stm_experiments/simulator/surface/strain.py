"""Local strain: a smooth displacement of the sample's atoms."""

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
        """Return the displacements at points.

        Args:
            u: Along axis 0 from pixel size // 2, px, [N, ...] or broadcasting with ``v``.
            v: The same along axis 1.

        Returns:
            Along axes 0 and 1, px, [2, N, ...] float64.
        """
        shape = (-1, *(1,) * (u.ndim - 1))
        displacement: list[Tensor | float] = [0.0, 0.0]
        for k in range(len(_LENGTHS)):
            wave, amplitude = self.wave[:, k], self.amplitude[:, k]
            angle = wave[:, 0].view(shape) * u + wave[:, 1].view(shape) * v
            height = torch.sin(angle + self.phase[:, k].view(shape))
            displacement = [
                x + amplitude[:, i].view(shape) * height for i, x in enumerate(displacement)
            ]
        return torch.stack([torch.as_tensor(x) for x in displacement])

    def field(self, size: int) -> Tensor:
        """Return the displacements at the pixels of images of ``size`` px, [N, size, size, 2]."""
        r = torch.arange(size, dtype=torch.float64) - size // 2
        return self.at(r[None, :, None], r[None, None]).movedim(0, -1)


def draw_strain(strength: Strength, seeds: list[int]) -> Strain:
    """Draw the strain of each image."""
    strain = draw_strength(strength, seeds, "strain")
    draws = 2 * math.pi * uniforms(seeds, "strain waves", 9).view(-1, 3, 3)
    direction, polarisation, phase = draws.unbind(2)
    number = 2 * math.pi / torch.tensor(_LENGTHS, dtype=torch.float64)
    amplitude = strain[:, None] / (len(_LENGTHS) * number)
    return Strain(
        strength=strain,
        wave=number[:, None] * torch.stack((direction.cos(), direction.sin()), 2),
        phase=phase,
        amplitude=amplitude[..., None] * torch.stack((polarisation.cos(), polarisation.sin()), 2),
    )
