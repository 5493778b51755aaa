"""The exclusion of the authors' programs: no atom is drawn where the image is already high."""

import numpy as np
import torch
from torch import Tensor

from stm_experiments.simulator.lattices.cut import Lattice
from stm_experiments.simulator.presets import Preset
from stm_experiments.simulator.rendering.render import (
    Centres,
    gaussian_shape,
    tile_table,
    window_width,
)


def not_excluded(
    centres: Centres, depth: Tensor, present: Tensor, lattice: Lattice, preset: Preset, size: int
) -> Tensor:
    """Return which atoms the programs draw.

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
    width = window_width(lattice, preset)
    # Tiles over the image and the 2 spread px around it in which the programs list atoms; small
    # ones, so that few atoms of a tile are too far from a test pixel to matter.
    tile = max(16, width // 8)
    tiles = (size + 2 * width) // tile + 1
    shifted = Centres(*(x + width for x in centres))
    slots = tile_table(shifted, present, width, tiles, tile)
    table = (slots.table >> 8) - 1  # the atoms themselves, -1 where unused

    amplitude, narrowness_at_top = gaussian_shape(lattice, preset, depth)
    heights = amplitude.numpy()
    narrowness = (-narrowness_at_top / torch.sqrt(2 - depth)).numpy()
    centre_u, centre_v = shifted.u.numpy(), shifted.v.numpy()
    first_u, first_v = (x.to(torch.int32).numpy() for x in shifted[2:])
    keep = present.numpy().copy()
    for i in range(len(keep)):
        atoms = np.flatnonzero(keep[i])
        test_u, test_v = (f[i, atoms] + (width // 2 - 1) for f in (first_u, first_v))
        tile_number = (test_u // tile) * tiles + test_v // tile
        near = table[i, :, : slots.used[i]]
        # Read as unsigned, the -1 of an unused slot and a negative distance are very large.
        earlier = near[tile_number].view(np.uint32) < atoms[:, None].astype(np.uint32)
        for test, f in ((test_u, first_u), (test_v, first_v)):
            distance = test[:, None] - f[i][near][tile_number]
            earlier &= distance.view(np.uint32) < width
        which, slot = np.divmod(np.flatnonzero(earlier), near.shape[1])
        j = near[tile_number[which], slot]
        r2 = (test_u[which] - centre_u[i, j]) ** 2 + (test_v[which] - centre_v[i, j]) ** 2
        height = heights[i, j] * np.exp(narrowness[i, j] * r2)
        total = np.bincount(which, height, minlength=len(atoms))
        keep[i, atoms] = total <= preset.exclusion
    return torch.from_numpy(keep)
