"""Batches of patches, the contract between data and everything that reads patches."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

Record = TypeVar("Record", bound=NamedTuple)


class Batch(NamedTuple):
    """Patches and what is known about them, the same from every source.

    Attributes:
        noisy: Patches on [-1, 1], scaled with the minimum and maximum of their image,
            [B, 1, h, w].
        clean: The same patches without noise, in the scale of the noisy image, [B, 1, h, w]; or
            None.
        lattice: Lattice labels, indices into ``simulator.LATTICES``, -1 where unknown, [B].
        orientation: The three uniforms (azimuth, tilt, rotation), NaN where unknown, [B, 3].
        image: Number of the source image within its split and epoch, [B].
        position: Row and column of the patch's first pixel in its image, px, [B, 2].
        truth: What else the source knows, by name: of each pixel, [B, 1, h, w], or of the whole
            image, [B, K]. ``stripes``: whether the pixel lies in a stripe, bool (sources with
            stripes). ``description``: the image's description (``PatchSettings.description``).
            ``centred``: the crystal with an atom in the middle and without rotation, on [-1, 1],
            [B, h w], and ``phases``: its phases at pixel (0, 0) of the image, rad, and their
            changes along both axes, rad/px, for each of three [B, 9] (``PatchSettings.centred``).
        total: Patches of the batch over all processes that share it; None: one process takes all.
    """

    noisy: Tensor
    clean: Tensor | None
    lattice: Tensor
    orientation: Tensor
    image: Tensor
    position: Tensor
    truth: dict[str, Tensor]
    total: int | None = None


def map_tensors(record: Record, function: Callable[[Tensor], Tensor]) -> Record:
    """Apply a function to each tensor of a record, those in dicts included; keep the rest."""

    def apply(value: object) -> object:
        if isinstance(value, Tensor):
            return function(value)
        if isinstance(value, dict):
            return {name: function(tensor) for name, tensor in value.items()}
        return value

    return record._make(apply(value) for value in record)


def split(batch: Batch, size: int) -> list[Batch]:
    """Return the patches in batches of ``size``, views of their memory; the last may be smaller."""
    return [
        map_tensors(batch, itemgetter(slice(first, first + size)))
        for first in range(0, len(batch.noisy), size)
    ]


def concatenate(records: Sequence[Record]) -> Record:
    """Join records that have the same fields along the first axis of their tensors.

    A field that holds no tensors is that of the first record.
    """

    def join(values: Sequence[object]) -> object:
        first = values[0]
        if isinstance(first, Tensor):
            return torch.cat([value for value in values if isinstance(value, Tensor)])
        if isinstance(first, dict):
            dicts = [value for value in values if isinstance(value, dict)]
            return {name: torch.cat([known[name] for known in dicts]) for name in first}
        return first

    if len(records) == 1:
        return records[0]
    return records[0]._make(join(values) for values in zip(*records, strict=True))
