"""How much the code changes when the same surface is looked at in another way."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

SHIFTS = (1, 2, 4)


def code_change(before: Tensor, after: Tensor) -> float:
    """Mean squared change of the code over twice its variance.

    mean |after - before|^2 / (2 V), where V is the variance (all dimensions added up) of both sets
    of codes about their common mean. 0: the code is invariant; 1: it changes as from a patch to any
    other; up to 2: it reverses.

    Args:
        before: ``[B,D]``.
        after: ``[B,D]``.

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


def cut(images: Tensor, image: Tensor, position: Tensor, window: int) -> Tensor:
    """Cut patches from whole images.

    Args:
        images: ``[N,1,H,W]``.
        image: Which image, ``[B]`` index from 0.
        position: Row and column of each patch's first pixel, px ``[B,2]``.
        window: Side of a patch, px.

    Returns:
        ``[B,1,window,window]``.

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


def shifted_pairs(
    images: Tensor, window: int, shift: int, count: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Cut pairs of patches whose positions differ by a shift along the rows or the columns.

    Args:
        images: ``[N,1,H,W]``, each gives as many pairs as the others.
        window: Side of a patch, px.
        shift: Distance, px.
        count: Number of pairs B.
        seed: Of the positions.

    Returns:
        The patches and the shifted ones, ``[B,1,window,window]`` each.

    Raises:
        ValueError: If the images are too small.
    """
    room = [side - window - shift + 1 for side in images.shape[-2:]]
    if min(room) < 1:
        raise ValueError(f"{list(images.shape[-2:])} px has no room for {window} + {shift} px.")
    random = torch.Generator().manual_seed(seed)
    position = torch.stack([torch.randint(most, (count,), generator=random) for most in room], 1)
    number = torch.arange(count)
    image = number % len(images)
    step = torch.zeros_like(position)
    step[number, number // len(images) % 2] = shift
    return cut(images, image, position, window), cut(images, image, position + step, window)


def invariance(
    encode: Callable[[Tensor], Tensor],
    patches: Tensor,
    images: Tensor | None,
    count: int = 2048,
) -> dict[str, float]:
    """Change of the code (``code_change``) under shifts, quarter turns and mirror images.

    Noise moves and turns with the pixels; only what a shift brings in at the edge is new.

    Args:
        encode: ``[B,1,h,w] -> [B,D]`` on the CPU.
        patches: ``[B,1,h,w]``, to be turned (if square) and mirrored.
        images: ``[N,1,H,W]`` from which shifted patches are cut, or None.
        count: How many shifted pairs.

    Returns:
        ``shift_1``, ``shift_2``, ``shift_4`` (px; where there are images with room for it),
        ``turns`` (mean over 90, 180 and 270 degrees) and ``flips`` (mean over both mirrors). Empty
        if all codes are equal.
    """
    before = encode(patches)

    def mean_change(changed: list[Tensor]) -> float:
        return sum(code_change(before, encode(each)) for each in changed) / len(changed)

    values = {}
    window = patches.shape[-1]
    square = patches.shape[-2] == window
    if images is not None and square:
        for shift in SHIFTS:
            if min(images.shape[-2:]) >= window + shift:
                here, there = shifted_pairs(images, window, shift, count)
                values[f"shift_{shift}"] = code_change(encode(here), encode(there))
    if square:
        values["turns"] = mean_change([patches.rot90(turns, (-2, -1)) for turns in (1, 2, 3)])
    values["flips"] = mean_change([patches.flip(-1), patches.flip(-2)])
    return {name: value for name, value in values.items() if math.isfinite(value)}
