"""Atomic steps across the image: a winding line between an upper and a lower terrace."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.simulator.strengths import uniforms

_EDGE = 2.0  # width of a step, standard deviation of the error function, px
_BENDS = (40.0, 90.0, 200.0)  # lengths on which a step winds, px
_FAR = 1e6  # px; a step at this distance lies outside of every image


@dataclass(frozen=True)
class Step:
    """A winding step across each image.

    Attributes:
        height: Height of the step, corrugations, [N] float64; 0 in images without a step, which
            are upper terrace everywhere.
        normal: Unit vector towards the upper terrace along axes 0 and 1, [N, 2] float64.
        distance: Of the step from pixel size // 2 along the normal, px, [N] float64.
        bends: Amplitudes (px) and phases of its bends, of the lengths ``_BENDS``, [N, 3, 2].
    """

    height: Tensor
    normal: Tensor
    distance: Tensor
    bends: Tensor

    def above(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the distances of points from the step, px; negative on the lower terrace.

        Args:
            u: Along axis 0 from pixel size // 2, px, [N, ...] or broadcasting to it.
            v: The same along axis 1.
        """
        shape = (-1, *(1,) * (u.ndim - 1))
        n0, n1, distance = (x.reshape(shape) for x in (*self.normal.T, self.distance))
        along, edge = n0 * v - n1 * u, distance
        for length, bend in zip(_BENDS, self.bends.unbind(1), strict=True):
            amplitude, phase = (x.reshape(shape) for x in bend.T)
            edge = edge + amplitude * torch.sin(2 * math.pi / length * along + phase)
        distances: Tensor = n0 * u + n1 * v - edge
        return distances

    def profile(self, size: int) -> Tensor:
        """Return the height of the surface in an image of ``size`` px, [N, 1, size, size] float32.

        It is 1 on the upper terrace, 0 on the lower one and 0 in an image without a step.
        """
        r = torch.arange(size, dtype=torch.float64) - size // 2
        profile = torch.zeros(len(self.distance), 1, size, size)
        for i in (self.height > 0).nonzero()[:, 0].tolist():
            part = slice(i, i + 1)
            step = Step(self.height[part], self.normal[part], self.distance[part], self.bends[part])
            above = step.above(r[None, :, None], r[None, None])[0].float()
            profile[i, 0] = 0.5 + 0.5 * torch.erf(above / (math.sqrt(2) * _EDGE))
        return profile


def draw_step(height: Tensor, seeds: list[int], size: int) -> Step:
    """Draw steps in any direction through the middle half of the images.

    Args:
        height: Heights of the steps, corrugations, [N]; 0 for none.
        seeds: The images' seeds.
        size: Image height and width, px.
    """
    draws = uniforms(seeds, "step place", 8)
    angle = 2 * math.pi * draws[:, :1]
    distance = (draws[:, 1] - 0.5) * 0.5 * size
    # Slopes of up to 0.3 of each bend against the step's direction.
    amplitude = 0.3 / (2 * math.pi) * torch.tensor(_BENDS) * draws[:, 2:5]
    bends = torch.stack((amplitude, 2 * math.pi * draws[:, 5:]), 2)
    normal = torch.cat((angle.cos(), angle.sin()), 1)
    return Step(height, normal, distance.where(height > 0, -_FAR), bends)
