"""What the detector adds to a topograph: thermal, shot and evenly distributed noise, rounding."""

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
)


@dataclass(frozen=True)
class DetectorNoise:
    """Strengths of the detector's noise. c is the corrugation, the 5-95 % range of the lattice.

    Attributes:
        gaussian: Strength g of the thermal noise of deviation g max(P) / 8 (the paper: 0.3).
        poisson: Strength p of the shot noise of deviation 0.025 p sqrt(P) (the paper: 3.5).
        white: Thermal noise in the units of real scans: standard deviation, c.
        shot: Shot noise in the same: its deviation is shot x sqrt(P c).
        quantisation: Distance of the levels to which heights are rounded, c.
        uniform: Evenly distributed noise: its standard deviation over that of the whole topograph
            without noise, the inverse of the signal-to-noise ratio.
    """

    gaussian: Strength = 0.0
    poisson: Strength = 0.0
    white: Strength = 0.0
    shot: Strength = 0.0
    quantisation: Strength = 0.0
    uniform: Strength = 0.0

    def __post_init__(self) -> None:
        check_strengths(self)


def gaussian(normal: Tensor, maximum: Tensor, noise: DetectorNoise) -> Tensor:
    """Thermal noise from normal draws and the topographs' maxima (which broadcast)."""
    return normal * (maximum * (bounds(noise.gaussian)[0] / 8))


def poisson(normal: Tensor, topograph: Tensor, noise: DetectorNoise) -> Tensor:
    """Shot noise, in its Gaussian limit, from normal draws of the topograph's shape."""
    return normal * topograph.sqrt().mul_(0.025 * bounds(noise.poisson)[0])


def add_detector_noise(
    image: Tensor,
    topograph: Tensor,
    generators: list[torch.Generator],
    noise: DetectorNoise,
    seeds: list[int],
    corrugation: Tensor,
) -> Tensor:
    """Add the noise of ``topograph`` to ``image``, both [N, 1, H, W], and round.

    The sum of two independent normal numbers is one of the summed variance, (g max(P) / 8)^2 +
    (0.025 p)^2 P + (white c)^2 + shot^2 c P, and a normal number costs more than all else here: one
    field serves all.

    Image i draws the field from ``generators[i]``, on the device of the images, and the strengths
    from its seed. ``corrugation`` is c, [N] float64.
    """
    strengths = {
        name: draw_strength(getattr(noise, name), seeds, name)
        for name in ("gaussian", "poisson", "white", "shot", "quantisation")
    }
    c = corrugation
    g, k2, w2, step = (
        values.to(image)[:, None, None, None]
        for values in (
            strengths["gaussian"] / 8,
            (0.025 * strengths["poisson"]) ** 2 + strengths["shot"] ** 2 * c,
            (strengths["white"] * c) ** 2,
            strengths["quantisation"] * c,
        )
    )
    if not all(is_off(getattr(noise, name)) for name in ("gaussian", "poisson", "white", "shot")):
        normal = torch.empty_like(topograph)
        for draws, generator in zip(normal, generators, strict=True):
            draws.normal_(generator=generator)
        thermal = (topograph.amax((1, 2, 3), keepdim=True) * g) ** 2 + w2
        deviation = (topograph * k2).add_(thermal).sqrt_()
        image = torch.addcmul(image, normal, deviation)
    if not is_off(noise.uniform):
        share = draw_strength(noise.uniform, seeds, "uniform")
        even = torch.empty_like(topograph)
        for draws, generator in zip(even, generators, strict=True):
            draws.uniform_(-1, 1, generator=generator)
        deviation = topograph.std((1, 2, 3), correction=0) * share.to(image)
        image = torch.addcmul(image, even, math.sqrt(3) * deviation[:, None, None, None])
    if not is_off(noise.quantisation):
        # Without a step there is no rounding: dividing by 0 would make NaN.
        rounded = (image / step).round_().mul_(step)
        image = torch.where(step > 0, rounded, image)
    return image
