"""Stripes: lines, whole or in part, on which the tip recorded something else than the surface."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.scene import Draws, Recorded, Scene, Trace
from stm_experiments.simulator.strengths import (
    Strength,
    bounds,
    check_strengths,
    draw_strength,
    is_off,
    uniforms,
)


class Patch(NamedTuple):
    """The rows and columns of a stripe."""

    rows: slice
    columns: slice


@dataclass(frozen=True)
class StripeNoise:
    """Strengths of stripes, horizontal bands of one or more lines.

    In a *replaced* stripe nothing of the surface remains: every pixel is noise, as where the tip
    lost contact or picked something up. With its default span, without correlation and in whole
    lines this is the noise with which the stripe denoiser of ZrTe3 was trained. A *lifted* stripe
    shows the surface at another height and in another contrast: an offset band, a scar (few lines,
    in part), a tip that changed and changed back.

    Attributes:
        replaced: Share of the lines at which a replaced stripe begins.
        lifted: Share of the lines at which a lifted stripe begins.
        width: Width of a stripe, px, rounded to whole lines.
        partial: Share of the stripes that cover a part of their lines only: a run of 16 px to 0.8
            of the image's width.
        span: Range of a replaced stripe's noise over the image's own range; its middle is drawn
            among those for which it fits.
        correlation: Length over which that noise is smooth along a line, px.
        offset: Height of a lifted stripe, up or down, c.
        gain: Contrast of a lifted stripe, as a factor.
        chance: Share of the images that have each of the two, independently.
    """

    replaced: Strength = 0.0
    lifted: Strength = 0.0
    width: Strength = (1.0, 16.0)
    partial: float = 0.0
    span: Strength = 1.0
    correlation: Strength = 0.0
    offset: Strength = (0.25, 1.5)
    gain: Strength = 1.0
    chance: float = 1.0

    def __post_init__(self) -> None:
        check_strengths(self, single=("partial", "chance"))
        if bounds(self.width)[0] < 1 or self.partial > 1 or bounds(self.span)[1] > 1:
            raise ValueError(
                "noise: a stripe's width is at least 1 px, its span and the share of partial "
                f"stripes at most 1, not {self.width}, {self.span}, {self.partial}"
            )

    @property
    def none(self) -> bool:
        """Whether there is no stripe."""
        return is_off(self.replaced) and is_off(self.lifted)

    def draw(self, scene: Scene) -> Draws:
        """Draw the shares of the lines at which stripes begin; see ``Effect``."""
        if self.none:
            return {}
        return {
            "lifted": draw_strength(self.lifted, scene.seeds, "lifted", self.chance),
            "replaced": draw_strength(self.replaced, scene.seeds, "replaced", self.chance),
        }

    def apply(self, image: Tensor, draws: Draws, scene: Scene, trace: Trace) -> Recorded:
        """Lay stripes over a trace, lifted ones first; see ``Effect``.

        Either trace has stripes of its own. The truth is where they are, [N, H, W] bool.
        """
        lifted, replaced = (
            self._patches(draws[kind], image.shape[-2:], scene.seeds, f"{kind} {trace.value}")
            for kind in ("lifted", "replaced")
        )
        image = image.clone()
        mask = torch.zeros(image[:, 0].shape, dtype=torch.bool)
        for i, seed in enumerate(scene.seeds):
            lines, stream = image[i, 0], image_stream(seed, f"stripes {trace.value}")
            low, high, mean = lines.min(), lines.max(), lines.mean()
            for patch in lifted[i]:
                offset, gain = _draw_number(self.offset, stream), _draw_number(self.gain, stream)
                sign = 1 if torch.rand(1, generator=stream) < 0.5 else -1
                height = sign * offset * float(scene.corrugation[i])
                lines[patch] = mean + gain * (lines[patch] - mean) + height
                mask[i][patch] = True
            for patch in replaced[i]:
                noise = self._noise(lines[patch].shape, stream).to(lines)
                lines[patch] = low + (high - low) * noise
                mask[i][patch] = True
        return Recorded(image, {f"stripes_{trace.value}": mask})

    def _patches(
        self, share: Tensor, shape: torch.Size, seeds: list[int], name: str
    ) -> list[list[Patch]]:
        """Draw the rows and columns of every stripe of every image."""
        height, width = shape
        start, breadth, part, length, position = (
            uniforms(seeds, name, 5 * height).view(-1, 5, height).unbind(1)
        )
        shortest, longest = min(16.0, 0.5 * width), 0.8 * width
        patches: list[list[Patch]] = [[] for _ in seeds]
        for i, row in (start < share[:, None]).nonzero().tolist():
            rows = slice(row, row + round(_scaled(self.width, float(breadth[i, row]))))
            columns = slice(0, width)
            if part[i, row] < self.partial:
                run = int(shortest + (longest - shortest) * float(length[i, row]))
                first = int(float(position[i, row]) * (width - run + 1))
                columns = slice(first, first + run)
            patches[i].append(Patch(rows, columns))
        return patches

    def _noise(self, shape: torch.Size, stream: torch.Generator) -> Tensor:
        """Draw the noise of a replaced stripe in units of the image's range, [h, w] in [0, 1]."""
        span, smooth = _draw_number(self.span, stream), _draw_number(self.correlation, stream)
        low = (1 - span) * float(torch.rand(1, generator=stream))
        values = torch.rand(shape, generator=stream)
        if smooth > 0:
            # A moving mean, scaled to the width of the distribution before.
            reach = math.ceil(smooth)
            longer = torch.rand(shape[0], 1, shape[1] + 2 * reach, generator=stream)
            kernel = torch.full((1, 1, 2 * reach + 1), 1 / (2 * reach + 1))
            values = torch.nn.functional.conv1d(longer, kernel)[:, 0]
            values = ((values - 0.5) * math.sqrt(2 * reach + 1) + 0.5).clamp(0, 1)
        return low + span * values


def _draw_number(strength: Strength, stream: torch.Generator) -> float:
    """Draw a stripe's strength from its image's stream."""
    return _scaled(strength, float(torch.rand(1, generator=stream)))


def _scaled(strength: Strength, uniform: float) -> float:
    """Map a draw in [0, 1) to a strength: log-uniform on a range above zero, else uniform."""
    low, high = bounds(strength)
    return low * (high / low) ** uniform if low > 0 else high * uniform
