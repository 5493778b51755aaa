"""The tip: blunt or double, and changed where it picks up or loses an atom during the scan."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.core.blur import gaussian_blur
from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.lattices.registry import AnyLattice
from stm_experiments.simulator.microscope.path import interpolate_lines
from stm_experiments.simulator.scene import Draws, Recorded, Scene, Trace
from stm_experiments.simulator.strengths import (
    Strength,
    bounds,
    check_strengths,
    draw_strength,
    is_off,
    uniforms,
)


@dataclass(frozen=True)
class TipNoise:
    """Strengths of what the tip does to an image.

    Attributes:
        blur: Width of the Gaussian with which a blunt tip convolves the topograph, standard
            deviation, px.
        double: Weight w of a second apex: I(x) + w I(x - d).
        double_distance: Length of d, lattice constants; any direction.
        changes: Largest number of changes of the tip during an image.
        change_gain: Contrast after a change, as a factor.
        change_offset: Height by which a change lifts or lowers the image, corrugations.
        change_blur: Blur of the changed tip, standard deviation, px.
        change_jump: Sideways jump of the image, px; it is geometry and stays in the clean image.
        chance: Share of the images with a blunt and with a double tip, independently.
        change_chance: Chance of each of the changes.
    """

    blur: Strength = 0.0
    double: Strength = 0.0
    double_distance: Strength = (0.1, 1.5)
    changes: int = 0
    change_gain: Strength = 1.0
    change_offset: Strength = 0.0
    change_blur: Strength = 0.0
    change_jump: Strength = 0.0
    chance: float = 1.0
    change_chance: float = 1.0

    def __post_init__(self) -> None:
        check_strengths(self, single=("changes", "chance", "change_chance"))
        if not isinstance(self.changes, int):
            raise ValueError(f"noise: changes={self.changes} is not a whole number")

    @property
    def largest_jump(self) -> float:
        """Largest sideways jump, px."""
        return bounds(self.change_jump)[1] if self.changes else 0.0

    def reach(self, lattice: AnyLattice) -> int:
        """Return how far beyond the image a double tip reaches, px."""
        if is_off(self.double):
            return 0
        return math.ceil(bounds(self.double_distance)[1] * lattice.spread) + 3

    def draw_times(self, size: int, seeds: list[int]) -> Tensor:
        """Draw the times of the changes in lines, one line being there and back.

        Returns:
            [N, changes] float64; infinite for changes that do not occur.
        """
        draws = self._change_draws(seeds)
        return torch.where(draws[..., 0] < self.change_chance, size * draws[..., 1], math.inf)

    def draw_jumps(self, size: int, seeds: list[int]) -> Tensor:
        """Draw the displacement of each line by the changes before it, px, [N, size, 2] float64."""
        angle = 2 * math.pi * self._change_draws(seeds)[..., 2]
        jump = self._draw_for_changes(self.change_jump, "jump", seeds)
        vector = jump[..., None] * torch.stack((angle.cos(), angle.sin()), -1)
        line = torch.arange(size, dtype=torch.float64)
        after = line >= self.draw_times(size, seeds)[..., None]
        return torch.einsum("nkr,nkc->nrc", after.double(), vector)

    def draw(self, scene: Scene) -> Draws:
        """Draw the tip's shape and its changes; see ``Effect``."""
        seeds = scene.seeds
        draws: Draws = {}
        if not (is_off(self.blur) and is_off(self.double)):
            distance = draw_strength(self.double_distance, seeds, "double tip distance")
            angle = 2 * math.pi * uniforms(seeds, "double tip direction", 1)
            weight = draw_strength(self.double, seeds, "double tip", self.chance)
            shift = (
                scene.lattice.spread * distance[:, None] * torch.cat((angle.cos(), angle.sin()), 1)
            )
            draws |= {
                "blur": draw_strength(self.blur, seeds, "blunt tip", self.chance),
                "double": weight,
                "double_shift": shift * (weight > 0)[:, None],
            }
        if self.changes:
            draws |= {
                "tip_change": self.draw_times(scene.size, seeds),
                "change_gain": self._draw_for_changes(self.change_gain, "gain", seeds),
                "change_offset": self._draw_for_changes(self.change_offset, "offset", seeds)
                * self._change_signs(seeds),
                "change_blur": self._draw_for_changes(self.change_blur, "blur", seeds),
            }
        return draws

    def apply(self, image: Tensor, draws: Draws, scene: Scene, trace: Trace) -> Recorded:
        """Convolve with the tip, and change contrast, height and sharpness; see ``Effect``."""
        if "blur" in draws:
            image = self._through_tip(image, draws, scene)
        if "tip_change" in draws:
            image = self._changed(image, draws, scene, trace)
        facts = ("blur", "double", "double_shift", "tip_change")
        return Recorded(image, {name: draws[name] for name in facts if name in draws})

    def _through_tip(self, image: Tensor, draws: Draws, scene: Scene) -> Tensor:
        weight, blur, shift = draws["double"], draws["blur"], draws["double_shift"]
        image = image.clone()
        for i in range(len(image)):
            part = slice(i, i + 1)
            if weight[i] > 0:
                moved = scene.path.moved[part] - shift[part, None]
                ghost = interpolate_lines(scene.sample[part], moved, scene.path.border)
                image[part] += float(weight[i]) * ghost
            if blur[i] > 0:
                image[part] = gaussian_blur(image[part], float(blur[i]))
        return image

    def _changed(self, image: Tensor, draws: Draws, scene: Scene, trace: Trace) -> Tensor:
        time = draws["tip_change"]
        recorded_at = trace_time(scene.size, trace).to(image.device)
        image = image.clone()
        for k in range(self.changes):
            gain, offset, blur = (draws[f"change_{x}"][:, k] for x in ("gain", "offset", "blur"))
            for i in (time[:, k] < math.inf).nonzero()[:, 0].tolist():
                before = image[i]
                after = gaussian_blur(before[None], float(blur[i]))[0] if blur[i] > 0 else before
                mean = before.mean()
                height = float(offset[i] * scene.corrugation[i])
                after = mean + float(gain[i]) * (after - mean) + height
                image[i] = torch.where(recorded_at >= time[i, k], after, before)
        return image

    def _change_draws(self, seeds: list[int]) -> Tensor:
        """Draw three uniform numbers for each change, [N, changes, 3]."""
        return uniforms(seeds, "tip change", 3 * self.changes).view(len(seeds), self.changes, 3)

    def _draw_for_changes(self, strength: Strength, name: str, seeds: list[int]) -> Tensor:
        """Draw a strength for each change, [N, changes]."""
        columns = [draw_strength(strength, seeds, f"tip {name} {k}") for k in range(self.changes)]
        return torch.stack(columns, 1)

    def _change_signs(self, seeds: list[int]) -> Tensor:
        """Draw 1 or -1 for each change, [N, changes] float64."""
        signs = [
            [
                1.0 if torch.rand(1, generator=image_stream(seed, f"tip sign {k}")) < 0.5 else -1.0
                for k in range(self.changes)
            ]
            for seed in seeds
        ]
        return torch.tensor(signs, dtype=torch.float64)


def trace_time(size: int, trace: Trace) -> Tensor:
    """Return when each px is recorded, in lines there and back, [size, size] float64."""
    along = torch.arange(size, dtype=torch.float64) / (2 * size)
    if trace is Trace.BACKWARD:
        along = 1 - 1 / (2 * size) - along
    return torch.arange(size, dtype=torch.float64)[:, None] + along
