"""Noise of the detector: thermal, shot and evenly distributed noise, and rounding."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.simulator.scene import Draws, Recorded, Scene, Trace
from stm_experiments.simulator.strengths import (
    Strength,
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
        shot: Shot noise in the units of real scans: its deviation is shot x sqrt(P c).
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

    def draw(self, scene: Scene) -> Draws:
        """Draw the strengths; see ``Effect``."""
        strengths = {"gaussian": self.gaussian, "poisson": self.poisson, "white": self.white,
                     "shot": self.shot, "quantisation": self.quantisation,
                     "uniform": self.uniform}  # fmt: skip
        return {
            name: draw_strength(strength, scene.seeds, name)
            for name, strength in strengths.items()
            if not is_off(strength)
        }

    def apply(self, image: Tensor, draws: Draws, scene: Scene, trace: Trace) -> Recorded:
        """Add the noise of the topograph and round; see ``Effect``.

        The sum of two independent normal numbers is one of the summed variance, and a normal number
        costs more than all else here: one field serves all noise of this kind.
        """
        topograph, generators = scene.flat, scene.generators[trace]
        if draws.keys() & {"gaussian", "poisson", "white", "shot"}:
            normal = torch.empty_like(topograph)
            for field, generator in zip(normal, generators, strict=True):
                field.normal_(generator=generator)
            deviation = noise_deviation(topograph, draws, scene.corrugation)
            image = torch.addcmul(image, normal, deviation)
        if "uniform" in draws:
            even = torch.empty_like(topograph)
            for field, generator in zip(even, generators, strict=True):
                field.uniform_(-1, 1, generator=generator)
            deviation = topograph.std((1, 2, 3), correction=0) * draws["uniform"].to(image)
            image = torch.addcmul(image, even, math.sqrt(3) * deviation[:, None, None, None])
        if "quantisation" in draws:
            step = (draws["quantisation"] * scene.corrugation).to(image)[:, None, None, None]
            # Without a step there is no rounding: dividing by 0 would make NaN.
            rounded = (image / step).round_().mul_(step)
            image = torch.where(step > 0, rounded, image)
        return Recorded(image, {})


def noise_deviation(topograph: Tensor, draws: Draws, corrugation: Tensor) -> Tensor:
    """Return the standard deviation of the normal noise of topographs P, [N, 1, H, W].

    The variance is (g max(P) / 8)^2 + (0.025 p)^2 P + (white c)^2 + shot^2 c P.

    Args:
        topograph: P, [N, 1, H, W].
        draws: ``gaussian`` g, ``poisson`` p, ``white`` and ``shot``, [N] each; 0 where missing.
        corrugation: c, [N] float64.
    """
    zero = torch.zeros_like(corrugation)
    gaussian, poisson, white, shot = (
        draws.get(name, zero) for name in ("gaussian", "poisson", "white", "shot")
    )
    of_maximum, of_height, constant = (
        values.to(topograph)[:, None, None, None]
        for values in (
            gaussian / 8,
            (0.025 * poisson) ** 2 + shot**2 * corrugation,
            (white * corrugation) ** 2,
        )
    )
    thermal = (topograph.amax((1, 2, 3), keepdim=True) * of_maximum) ** 2 + constant
    return (topograph * of_height).add_(thermal).sqrt_()
