"""How much a code changes when the patch is shifted, turned or mirrored."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

SHIFTS = (1, 2, 4)  # px


def code_change(before: Tensor, after: Tensor) -> float:
    """Return the mean squared change of the code over twice its variance.

    mean |after - before|^2 / (2 V), where V is the variance (all dimensions added up) of both sets
    of codes about their common mean. 0: the code is invariant; 1: it changes as much as from a
    patch to any other patch; up to 2: it reverses.

    Args:
        before: Codes of the patches, [B, D].
        after: Codes of the changed patches, [B, D].

    Returns:
        NaN if all codes are equal.

    Raises:
        ValueError: If the shapes differ or there are no codes.
    """
    if before.shape != after.shape or before.ndim != 2 or not len(before):
        raise ValueError(f"Codes {list(before.shape)} and {list(after.shape)} are not pairs.")
    before, after = before.double(), after.double()
    both = torch.cat([before, after])
    if bool((both == both[0]).all()):
        return math.nan
    variance = float((both - both.mean(0)).square().sum()) / len(both)
    change = float((after - before).square().sum()) / len(before)
    return change / (2 * variance)


def cut_windows(images: Tensor, image: Tensor, position: Tensor, window: int) -> Tensor:
    """Cut patches from whole images.

    Args:
        images: [N, 1, H, W].
        image: Index of each patch's image, [B].
        position: Row and column of each patch's first pixel, px, [B, 2].
        window: Side w of a patch, px.

    Returns:
        Patches, [B, 1, w, w].

    Raises:
        ValueError: If a patch reaches beyond its image.
    """
    sides = torch.tensor(images.shape[-2:])
    if bool(((position < 0) | (position + window > sides)).any()):
        raise ValueError(f"A {window} px patch reaches beyond its {sides.tolist()} px image.")
    steps = torch.arange(window)
    rows = (position[:, :1] + steps)[:, :, None]
    columns = (position[:, 1:] + steps)[:, None, :]
    return images[image[:, None, None], 0, rows, columns][:, None]


class PatchPairs(NamedTuple):
    """Patches and their neighbours.

    Attributes:
        patches: [B, 1, w, w].
        shifted: Patches at shifted positions, [B, 1, w, w].
    """

    patches: Tensor
    shifted: Tensor


def cut_shifted_pairs(
    images: Tensor, window: int, shift: int, count: int, seed: int = 0
) -> PatchPairs:
    """Cut pairs of patches whose positions differ by a shift along the rows or the columns.

    Args:
        images: [N, 1, H, W]; all give equally many pairs.
        window: Side w of a patch, px.
        shift: Distance, px.
        count: Number of pairs B.
        seed: Seed of the positions.

    Raises:
        ValueError: If the images are too small.
    """
    choices = [side - window - shift + 1 for side in images.shape[-2:]]
    if min(choices) < 1:
        raise ValueError(f"{list(images.shape[-2:])} px has no room for {window} + {shift} px.")
    draws = torch.Generator().manual_seed(seed)
    position = torch.stack([torch.randint(n, (count,), generator=draws) for n in choices], 1)
    number = torch.arange(count)
    image = number % len(images)
    step = torch.zeros_like(position)
    step[number, number // len(images) % 2] = shift
    return PatchPairs(
        cut_windows(images, image, position, window),
        cut_windows(images, image, position + step, window),
    )


def measure_invariance(
    encode: Callable[[Tensor], Tensor],
    patches: Tensor,
    images: Tensor | None,
    count: int = 2048,
) -> dict[str, float]:
    """Measure the change of the code (``code_change``) under shifts, quarter turns and flips.

    Noise moves and turns with the pixels; only the pixels that a shift adds at an edge are new.

    Args:
        encode: Maps patches [B, 1, h, w] to codes [B, D] on the CPU.
        patches: Patches that are turned (if they are square) and mirrored, [B, 1, h, w].
        images: Images from which shifted patches are cut, [N, 1, H, W]; or None.
        count: Number of shifted pairs.

    Returns:
        ``shift_1``, ``shift_2``, ``shift_4`` (px; if the images are large enough), ``turns`` (mean
        over 90, 180 and 270 degrees) and ``flips`` (mean over both mirror images). Empty if all
        codes are equal.
    """
    before = encode(patches)

    def mean_change(variants: list[Tensor]) -> float:
        return sum(code_change(before, encode(variant)) for variant in variants) / len(variants)

    values = {}
    window = patches.shape[-1]
    square = patches.shape[-2] == window
    if images is not None and square:
        for shift in SHIFTS:
            if min(images.shape[-2:]) >= window + shift:
                pairs = cut_shifted_pairs(images, window, shift, count)
                values[f"shift_{shift}"] = code_change(encode(pairs.patches), encode(pairs.shifted))
    if square:
        values["turns"] = mean_change([patches.rot90(turns, (-2, -1)) for turns in (1, 2, 3)])
    values["flips"] = mean_change([patches.flip(-1), patches.flip(-2)])
    return {name: value for name, value in values.items() if math.isfinite(value)}
