"""Lists of atoms of several images, as rows of tensors that are padded to the longest list."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Atoms(NamedTuple):
    """Atoms of N images, left-packed and padded to the longest list.

    Attributes:
        u: Position along image axis 0 from pixel size // 2, lattice constants, [N, A] float64.
        v: The same along image axis 1.
        depth: Depth below the plane of the cut along its normal, lattice constants, [N, A] float64.
        present: False on padding, [N, A] bool.
    """

    u: Tensor
    v: Tensor
    depth: Tensor
    present: Tensor


def left_pack(keep: Tensor, columns: Sequence[Tensor]) -> list[Tensor]:
    """Keep some entries of each row, in their order, and pad the rows with zeros.

    Args:
        keep: Which entries to keep, [N, M] bool.
        columns: What to shorten, [N, M] each.

    Returns:
        The columns, [N, A] each, A being the largest number of kept entries of a row. ``keep``
        among the columns becomes the mask of what is no padding.
    """
    count = keep.sum(1, keepdim=True)
    filled = torch.arange(int(count.max()) if len(count) else 0) < count
    return [
        torch.zeros(filled.shape, dtype=values.dtype).masked_scatter(filled, values[keep])
        for values in columns
    ]


def pack(atoms: Atoms) -> Atoms:
    """Return the present atoms, left-packed in their order."""
    return Atoms(*left_pack(atoms.present, atoms))


def join(first: Atoms, second: Atoms) -> Atoms:
    """Return the present atoms of the first list, then those of the second one."""
    return pack(Atoms(*(torch.cat(pair, 1) for pair in zip(first, second, strict=True))))
