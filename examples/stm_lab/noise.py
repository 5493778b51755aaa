"""A pump that shakes the tip along one direction of the image."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from stm_experiments.simulator import Noise
from stm_experiments.simulator.scene import Draws, Effect, Recorded, Scene, Trace
from stm_experiments.simulator.strengths import (
    Strength,
    check_strengths,
    draw_strength,
    is_off,
    uniforms,
)


@dataclass(frozen=True)
class PumpNoise:
    """A wave along the slow axis.

    Attributes:
        amplitude: Of the wave, corrugations of the clean lattice.
        periods: Number of its periods in an image.
    """

    amplitude: Strength = 0.0
    periods: Strength = (3.0, 9.0)

    def __post_init__(self) -> None:
        check_strengths(self)

    def draw(self, scene: Scene) -> Draws:
        """Draw amplitude, periods and phase of each image; nothing if the pump is off."""
        if is_off(self.amplitude):
            return {}
        return {
            "amplitude": draw_strength(self.amplitude, scene.seeds, "pump"),
            "periods": draw_strength(self.periods, scene.seeds, "pump periods"),
            "phase": 2 * math.pi * uniforms(scene.seeds, "pump phase", 1)[:, 0],
        }

    def apply(self, image: Tensor, draws: Draws, scene: Scene, trace: Trace) -> Recorded:
        """Add the wave to a trace, [N, 1, H, H]."""
        rows = torch.arange(scene.size, dtype=torch.float64) / scene.size
        angle = 2 * math.pi * draws["periods"][:, None] * rows + draws["phase"][:, None]
        height = (draws["amplitude"] * scene.corrugation)[:, None] * angle.sin()
        wave = height[:, None, :, None].to(image)
        return Recorded(image + wave, {"pump": height})


@dataclass(frozen=True, kw_only=True)
class PumpedNoise(Noise):
    """The noise of the package, and a pump before the detector."""

    pump: PumpNoise = field(default_factory=PumpNoise)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What changes a trace, in acquisition order."""
        return self.tip, self.scan, self.pump, self.detector, self.stripes
