"""The tip: blunt or double, and what changes when it picks up or loses an atom during the scan."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.core.blur import gaussian_blur
from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.lattices.registry import AnyLattice
from stm_experiments.simulator.microscope.motion import scan_lines
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
        blur: Width of the Gaussian that a blunt tip convolves the topograph with, standard
            deviation, px.
        double: Weight w of a second apex: I(x) + w I(x - d).
        double_distance: Length of d, lattice constants; any direction.
        changes: How often the tip may change during an image, at most.
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
        check_strengths(self, ("changes", "chance", "change_chance"))
        if not isinstance(self.changes, int):
            raise ValueError(f"noise: changes={self.changes} is not a whole number")


def through_tip(
    sample: Tensor, seen: Tensor, moved: Tensor, border: int, lattice: AnyLattice, noise: TipNoise,
    seeds: list[int], truth: dict[str, Tensor],
) -> Tensor:  # fmt: skip
    """The images through a blunt or double tip.

    Args:
        sample: Drawn with ``border`` px around the image, [N, 1, H + 2 border, W + 2 border].
        seen: What an ideal tip sees of it, [N, 1, H, W].
        moved: Displacement at each line, px, [N, H, 2].
        border: Margin of the sample, px.
        lattice: Its lattice.
        noise: Strengths.
        seeds: The images' seeds.
        truth: Gains ``blur`` (px), ``double`` and ``double_shift`` (px).
    """
    if is_off(noise.blur) and is_off(noise.double):
        return seen
    blur = draw_strength(noise.blur, seeds, "blunt tip", noise.chance)
    weight = draw_strength(noise.double, seeds, "double tip", noise.chance)
    distance = draw_strength(noise.double_distance, seeds, "double tip distance")
    angle = 2 * math.pi * uniforms(seeds, "double tip direction", 1)
    shift = lattice.spread * distance[:, None] * torch.cat((angle.cos(), angle.sin()), 1)
    truth |= {"blur": blur, "double": weight, "double_shift": shift * (weight > 0)[:, None]}
    seen = seen.clone()
    for i in range(len(seeds)):
        part = slice(i, i + 1)
        if weight[i] > 0:
            ghost = scan_lines(sample[part], moved[part] - shift[part, None], border)
            seen[part] += float(weight[i]) * ghost
        if blur[i] > 0:
            seen[part] = gaussian_blur(seen[part], float(blur[i]))
    return seen


def tip_changes(noise: TipNoise, size: int, seeds: list[int]) -> tuple[Tensor, Tensor]:
    """When the tip changes, and how far the image jumps.

    Returns:
        Times of the changes in lines, one line being there and back, infinite for changes that do
        not occur, [N, changes] float64; and the jumps, px, [N, changes, 2].
    """
    draws = uniforms(seeds, "tip change", 3 * noise.changes).view(len(seeds), noise.changes, 3)
    time = torch.where(draws[..., 0] < noise.change_chance, size * draws[..., 1], math.inf)
    angle = 2 * math.pi * draws[..., 2]
    jump = torch.stack(
        [draw_strength(noise.change_jump, seeds, f"tip jump {k}") for k in range(noise.changes)], 1
    )
    return time, jump[..., None] * torch.stack((angle.cos(), angle.sin()), -1)


def jumps(time: Tensor, jump: Tensor, size: int) -> Tensor:
    """Displacement of each line by the tip's changes before it, px, [N, size, 2]."""
    after = torch.arange(size, dtype=torch.float64) >= time[..., None]
    return torch.einsum("nkr,nkc->nrc", after.double(), jump)


def change_tip(
    image: Tensor,
    time: Tensor,
    corrugation: Tensor,
    noise: TipNoise,
    seeds: list[int],
    backward: bool,
) -> Tensor:
    """What the tip's changes do to the image: contrast, height and sharpness from then on.

    Args:
        image: [N, 1, H, W], what the unchanged tip sees.
        time: Of the changes, lines, [N, changes].
        corrugation: Of the images, [N].
        noise: Strengths.
        seeds: The images' seeds.
        backward: Whether this is the backward trace, which is recorded second in each line.
    """
    size = image.shape[-1]
    when = trace_time(size, backward).to(image.device)
    image = image.clone()
    for k in range(noise.changes):
        gain, offset, blur = (
            draw_strength(strength, seeds, f"tip {what} {k}")
            for strength, what in (
                (noise.change_gain, "gain"),
                (noise.change_offset, "offset"),
                (noise.change_blur, "blur"),
            )
        )
        for i in (time[:, k] < math.inf).nonzero()[:, 0].tolist():
            sign = (
                1 if torch.rand(1, generator=image_stream(seeds[i], f"tip sign {k}")) < 0.5 else -1
            )
            before = image[i]
            other = gaussian_blur(before[None], float(blur[i]))[0] if blur[i] > 0 else before
            mean = before.mean()
            other = (
                mean + float(gain[i]) * (other - mean) + sign * float(offset[i] * corrugation[i])
            )
            image[i] = torch.where(when >= time[i, k], other, before)
    return image


def trace_time(size: int, backward: bool) -> Tensor:
    """When each px is recorded, in lines there and back, [size, size] float64."""
    along = torch.arange(size, dtype=torch.float64) / (2 * size)
    if backward:
        along = 1 - 1 / (2 * size) - along
    return torch.arange(size, dtype=torch.float64)[:, None] + along


def tip_reach(noise: TipNoise, lattice: AnyLattice) -> int:
    """How far beyond the image a double tip sees, px."""
    if is_off(noise.double):
        return 0
    return math.ceil(bounds(noise.double_distance)[1] * lattice.spread) + 3
