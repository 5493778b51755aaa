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

    Image i draws from ``generators[i]``, on the device of the images.
    """
    noisy = image.clone()
    draws = torch.empty_like(topograph[0])
    for i, generator in enumerate(generators):
        one, p = noisy[i], topograph[i]
        if noise.gaussian:
            one += gaussian(draws.normal_(generator=generator), p.amax(), noise)
        if noise.poisson:
            one += poisson(draws.normal_(generator=generator), p, noise)
    return noisy
