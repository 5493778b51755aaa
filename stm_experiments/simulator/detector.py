"""What the detector adds to a topograph: thermal (Gaussian) and shot (Poisson) noise."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DetectorNoise:
    """Strengths of the detector's noise, in the units of the paper.

    Attributes:
        gaussian: Strength g of the thermal noise of deviation g max(P) / 8 (the paper: 0.3).
        poisson: Strength p of the shot noise of deviation 0.025 p sqrt(P) (the paper: 3.5).
    """

    gaussian: float = 0.0
    poisson: float = 0.0


def gaussian(normal: Tensor, maximum: Tensor, noise: DetectorNoise) -> Tensor:
    """Thermal noise from normal draws and the topographs' maxima (which broadcast)."""
    return normal * (maximum * (noise.gaussian / 8))


def poisson(normal: Tensor, topograph: Tensor, noise: DetectorNoise) -> Tensor:
    """Shot noise, in its Gaussian limit, from normal draws of the topograph's shape."""
    return normal * topograph.sqrt().mul_(0.025 * noise.poisson)


def add_detector_noise(
    image: Tensor, topograph: Tensor, generators: list[torch.Generator], noise: DetectorNoise
) -> Tensor:
    """Add thermal and shot noise of ``topograph`` to ``image``, both [N, 1, H, W].

    The sum of two independent normal numbers is one of the summed variance, (g max(P) / 8)^2 +
    (0.025 p)^2 P, and a normal number costs more than all else here: one field serves both.

    Image i draws from ``generators[i]``, on the device of the images.
    """
    normal = torch.empty_like(topograph)
    for draws, generator in zip(normal, generators, strict=True):
        draws.normal_(generator=generator)
    thermal = (topograph.amax((1, 2, 3), keepdim=True) * (noise.gaussian / 8)) ** 2
    deviation = (topograph * (0.025 * noise.poisson) ** 2).add_(thermal).sqrt_()
    return torch.addcmul(image, normal, deviation)
