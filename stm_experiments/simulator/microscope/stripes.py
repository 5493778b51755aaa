"""Stripes: lines, whole or in part, on which the tip recorded something else than the surface."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.strengths import (
    Strength,
    bounds,
    check_strengths,
    draw_strength,
    is_off,
    uniforms,
)


@dataclass(frozen=True)
class StripeNoise:
    """Strengths of stripes, horizontal bands of one or more lines.

    In a *replaced* stripe nothing of the surface is left: every pixel is noise, as where the tip
    lost contact or picked something up. With its default span, without correlation and in whole
    lines that is the noise by which the stripe denoiser of ZrTe3 was trained. In a *lifted* stripe
    the surface is seen at another height and in another contrast: an offset band, a scar (few
    lines, in part), a tip that changed and changed back.

    Attributes:
        replaced: Share of the lines at which a replaced stripe begins.
        lifted: Share of the lines at which a lifted stripe begins.
        width: Width of a stripe, px, rounded to whole lines.
        partial: Share of the stripes that cover a part of their lines only: a run of 16 px to 0.8
            of the image's width.
        span: Range of a replaced stripe's noise over the image's own range; its middle lies where
            it fits at random.
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
        check_strengths(self, ("partial", "chance"))
        if bounds(self.width)[0] < 1 or self.partial > 1 or bounds(self.span)[1] > 1:
            raise ValueError(
                "noise: a stripe's width is at least 1 px, its span and the share of partial "
                f"stripes at most 1, not {self.width}, {self.span}, {self.partial}"
            )


def add_stripes(
    image: Tensor,
    corrugation: Tensor,
    noise: StripeNoise,
    seeds: list[int],
    truth: dict[str, Tensor],
    backward: bool = False,
) -> Tensor:
    """Lay stripes over a trace, lifted ones first.

    Args:
        image: What was recorded, [N, 1, H, W].
        corrugation: c of each image, [N] float64.
        noise: Strengths.
        seeds: The images' seeds.
        truth: Gains ``stripes_forward`` or ``stripes_backward``: where there is one, [N, H, W]
            bool.
        backward: Whether this is the backward trace: it has stripes of its own.

    Returns:
        The trace, [N, 1, H, W].
    """
    if is_off(noise.replaced) and is_off(noise.lifted):
        return image
    trace = "backward" if backward else "forward"
    kinds = ("lifted", "replaced")
    shares = {k: draw_strength(getattr(noise, k), seeds, k, noise.chance) for k in kinds}
    places = {k: _places(shares[k], noise, image.shape[-2:], seeds, f"{k} {trace}") for k in kinds}
    image = image.clone()
    mask = torch.zeros(image[:, 0].shape, dtype=torch.bool)
    for i, seed in enumerate(seeds):
        own, draws = image[i, 0], image_stream(seed, f"stripes {trace}")
        low, high, mean = own.min(), own.max(), own.mean()
        for part in places["lifted"][i]:
            offset, gain = _between(noise.offset, draws), _between(noise.gain, draws)
            sign = 1 if torch.rand(1, generator=draws) < 0.5 else -1
            own[part] = mean + gain * (own[part] - mean) + sign * offset * float(corrugation[i])
            mask[i][part] = True
        for part in places["replaced"][i]:
            noisy = _noise(own[part].shape, noise, draws).to(own)
            own[part] = low + (high - low) * noisy
            mask[i][part] = True
    truth[f"stripes_{trace}"] = mask
    return image


def _places(
    share: Tensor, noise: StripeNoise, shape: torch.Size, seeds: list[int], name: str
) -> list[list[tuple[slice, slice]]]:
    """The rows and columns of every stripe of every image."""
    height, width = shape
    start, wide, part, long, left = uniforms(seeds, name, 5 * height).view(-1, 5, height).unbind(1)
    shortest, longest = min(16.0, 0.5 * width), 0.8 * width
    places: list[list[tuple[slice, slice]]] = [[] for _ in seeds]
    for i, row in (start < share[:, None]).nonzero().tolist():
        rows = slice(row, row + round(_scaled(noise.width, float(wide[i, row]))))
        columns = slice(0, width)
        if part[i, row] < noise.partial:
            length = int(shortest + (longest - shortest) * float(long[i, row]))
            first = int(float(left[i, row]) * (width - length + 1))
            columns = slice(first, first + length)
        places[i].append((rows, columns))
    return places


def _noise(shape: torch.Size, noise: StripeNoise, draws: torch.Generator) -> Tensor:
    """The noise of a replaced stripe in units of the image's range, [h, w] in [0, 1]."""
    span, smooth = _between(noise.span, draws), _between(noise.correlation, draws)
    low = (1 - span) * float(torch.rand(1, generator=draws))
    values = torch.rand(shape, generator=draws)
    if smooth > 0:
        # A moving mean, then as wide as before.
        reach = math.ceil(smooth)
        longer = torch.rand(shape[0], 1, shape[1] + 2 * reach, generator=draws)
        kernel = torch.full((1, 1, 2 * reach + 1), 1 / (2 * reach + 1))
        values = torch.nn.functional.conv1d(longer, kernel)[:, 0]
        values = ((values - 0.5) * math.sqrt(2 * reach + 1) + 0.5).clamp(0, 1)
    return low + span * values


def _between(strength: Strength, draws: torch.Generator) -> float:
    """A stripe's own strength, from its image's stream."""
    return _scaled(strength, float(torch.rand(1, generator=draws)))


def _scaled(strength: Strength, uniform: float) -> float:
    """A strength from a draw in [0, 1): log-uniform on a range above zero, else uniform."""
    low, high = bounds(strength)
    return low * (high / low) ** uniform if low > 0 else high * uniform
