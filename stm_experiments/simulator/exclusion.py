"""The programs' exclusion: an atom is not drawn where the image is already high."""

import numpy as np
import torch
from torch import Tensor

from stm_experiments.simulator.lattice import Lattice, Preset
from stm_experiments.simulator.render import Centres, shape, tile_table, touched, window

_TILE = 16  # px; small, so that few atoms of a tile are too far away to matter


def not_excluded(
    centres: Centres, depth: Tensor, present: Tensor, lattice: Lattice, preset: Preset, size: int
) -> Tensor:
    """Which atoms the programs draw.

    An atom is skipped if the image of the atoms before it exceeds ``preset.exclusion`` at the pixel
    floor(centre) - (1, 1). Skipped atoms may be counted too: the sum over all earlier atoms gives
    the same decisions as the loop, in one pass.

    Args:
        centres: Where the atoms are drawn, without jitter.
        depth: Their depths, lattice constants, [N, A].
        present: False on padding, [N, A].
        lattice: Their lattice.
        preset: The simulator's version.
        size: Image height and width, px.

    Returns:
        True on the atoms that are drawn, [N, A] bool.
    """
    if preset.exclusion is None:
        return present
    width = window(lattice, preset)
    # Tiles over the image and the 2 spread px around it in which the programs list atoms.
    tiles = (size + 2 * width) // _TILE + 1
    moved = Centres(*(x + width for x in centres))
    table, used = tile_table(moved, present, width, tiles, _TILE)
    table = table[0] // touched(width, _TILE)  # the atoms themselves

    amplitude, narrow = shape(lattice, preset, depth)
    heights = amplitude.numpy()
    narrowness = (narrow / torch.sqrt(2 - depth)).numpy()
    centre_u, centre_v, *first = (x.numpy() for x in moved)
    keep = present.numpy().copy()
    for i in range(len(keep)):
        atoms = np.flatnonzero(keep[i])
        test = [f[i, atoms] + width // 2 - 1 for f in first]
        before = table[i, (test[0] // _TILE) * tiles + test[1] // _TILE, : used[i]]
        earlier = before < atoms[:, None]
        near = np.minimum(before, keep.shape[1] - 1)
        for f, t in zip(first, test, strict=True):
            distance = t[:, None] - f[i][near]
            earlier &= (distance >= 0) & (distance < width)
        which, slot = np.nonzero(earlier)
        j = before[which, slot]
        r2 = (test[0][which] - centre_u[i, j]) ** 2 + (test[1][which] - centre_v[i, j]) ** 2
        height = heights[i, j] * np.exp(-narrowness[i, j] * r2)
        total = np.bincount(which, height, minlength=len(atoms))
        keep[i, atoms] = total <= preset.exclusion
    return torch.from_numpy(keep)
