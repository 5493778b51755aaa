"""Topographs from atoms: every atom is a Gaussian, drawn in a window around its centre.

An atom at depth d and distance r from its centre has the height (s = spread^2 / (64 k))

    g(r) = A exp(-(w/s) r^2 / sqrt(2 - d)),    A = 4 ((2 - d)/2)^1.5

The Gaussian is separable, so an image is a sum over atoms of (column profile) x (row profile): the
image is cut into tiles and each tile is one small matrix product over the atoms that touch it.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from stm_experiments.simulator.lattices.atoms import Atoms
from stm_experiments.simulator.lattices.cut import Lattice, cut_off_radius, narrowness
from stm_experiments.simulator.presets import Preset

Ints = NDArray[np.signedinteger]


class Centres(NamedTuple):
    """Positions at which the atoms of N images are drawn, px of the image axes from pixel 0.

    Attributes:
        u: Drawn centre along image axis 0, [N, A] float64.
        v: Drawn centre along image axis 1, [N, A] float64.
        first_u: First pixel of the atom's window along axis 0 (may lie outside), [N, A] int64.
        first_v: The same along axis 1.
    """

    u: Tensor
    v: Tensor
    first_u: Tensor
    first_v: Tensor


class DrawnAtoms(NamedTuple):
    """Atoms of N images of a cut lattice as they are drawn.

    Attributes:
        centres: Where they are drawn.
        depth: Their depths, lattice constants, [N, A].
        present: False on atoms that are not drawn, [N, A].
        width_change: Added to sqrt(2 - depth), [N, A]; None for none.
        gain: Factors of their heights, [N, A]; None for 1.
    """

    centres: Centres
    depth: Tensor
    present: Tensor
    width_change: Tensor | None = None
    gain: Tensor | None = None


class TileTable(NamedTuple):
    """Which atoms touch which tile of an image; see ``tile_table``.

    Attributes:
        table: For each tile and slot 256 (atom + 1) + 16 i + j, where the tile is the i-th along
            axis 0 and the j-th along axis 1 of those that the atom's window may touch, at most 16
            each way; 0 on unused slots, [N, tiles^2, K] int32.
        used: How many of its K slots each image uses, at least 1, [N].
    """

    table: Ints
    used: Ints


def window_width(lattice: Lattice, preset: Preset) -> int:
    """Return the width (px) of the window in which an atom is drawn."""
    if preset.windowed:
        return 2 * round(lattice.spread)
    return 2 * math.ceil(cut_off_radius(lattice, preset)) + 2


def drawn_centres(
    atoms: Atoms, lattice: Lattice, preset: Preset, size: int, jitter: Tensor | None = None
) -> Centres:
    """Return the centres of atoms in the image.

    The programs evaluate the Gaussian at e + f + j, with e the pixel relative to floor(c), f the
    sub-pixel part of the centre c and j the jitter: sub-pixel part and jitter act mirrored.

    Args:
        atoms: The atoms.
        lattice: Their lattice.
        preset: The simulator's version.
        size: Image height and width, px.
        jitter: Displacement along axes 0 and 1, px, [2, N, A]; None for none.
    """
    j = jitter if jitter is not None else torch.zeros(2, 1, 1, dtype=torch.float64)
    drawn, first = [], []
    for position, shift in zip((atoms.u, atoms.v), j, strict=True):
        c = lattice.spread * position
        if preset.windowed:
            pixel = torch.floor(c)
            drawn.append(pixel - (c - pixel) - shift + size // 2)
        else:
            pixel = torch.floor(c + shift)
            drawn.append(c + shift + size // 2)
        before = (window_width(lattice, preset) - (0 if preset.windowed else 1)) // 2
        first.append(pixel.long() + (size // 2 - before))
    return Centres(*drawn, *first)


def gaussian_shape(lattice: Lattice, preset: Preset, depth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the amplitude A and w/s (1/px^2) of atoms at ``depth``."""
    s = lattice.spread**2 / (64 * lattice.k)
    half = 1 - depth / 2
    amplitude = 4 * half * half.sqrt()
    return amplitude, torch.full_like(depth, narrowness(lattice, preset) / s)


def draw(
    atoms: DrawnAtoms,
    lattice: Lattice,
    preset: Preset,
    size: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw topographs of cut lattices.

    Overlapping atoms give P = (sum g^n)^(1/n), n = ``preset.exponent``. With n = 4 this is a smooth
    maximum: the upper atom hides what it covers.

    Args:
        atoms: The atoms.
        lattice: Their lattice.
        preset: The simulator's version.
        size: Image height and width, px.
        device: Where the images are computed.

    Returns:
        Heights, about 0 to 4, [N, 1, size, size] float32 on ``device``.
    """
    depth = atoms.depth.to(device, torch.float32)
    amplitude, narrowness = gaussian_shape(lattice, preset, depth)
    if atoms.gain is not None:
        amplitude = amplitude * atoms.gain.to(amplitude)
    breadth = torch.sqrt(2 - depth)
    if atoms.width_change is not None:
        breadth = breadth + atoms.width_change.to(breadth)
    return draw_gaussians(
        atoms.centres,
        amplitude,
        narrowness / breadth,
        atoms.present,
        width=window_width(lattice, preset),
        exponent=preset.exponent,
        size=size,
    )


def draw_gaussians(
    centres: Centres,
    amplitude: Tensor,
    narrowness: Tensor,
    present: Tensor,
    width: int,
    exponent: int,
    size: int,
) -> Tensor:
    """Draw Gaussians A exp(-narrowness r^2), each in a window around its centre.

    Args:
        centres: Where they are drawn, and where their windows begin.
        amplitude: Their heights A, not negative, [N, A] float32.
        narrowness: 1/px^2, [N, A] float32 on the device of ``amplitude``.
        present: False on those that are not drawn, [N, A].
        width: Of the windows, px.
        exponent: Power n of 2: Gaussians g overlap as (sum g^n)^(1/n).
        size: Image height and width, px.

    Returns:
        [N, 1, size, size] float32 on the device of ``amplitude``.
    """
    n, device = exponent, amplitude.device
    # The profile of an atom along an axis: log(profile) = log_height - (scale (pixel - centre))^2,
    # evaluated on the tiles that its window touches. Atom 0 is an empty one, which stands for the
    # unused slots of the table.
    tile = 8 * math.ceil(max(32, width - 1) / 8)
    slots = tile_table(centres, present, width, math.ceil(size / tile), tile)
    first = torch.stack((centres.first_u, centres.first_v), 1)
    start = first.div(tile, rounding_mode="floor") * tile
    middle = start + touched_tiles(width, tile) * tile // 2
    distance = (middle - torch.stack((centres.u, centres.v), 1)).to(device, torch.float32)
    scale = torch.sqrt(n * narrowness)[:, None]
    log_height = pad((0.5 * n) * torch.log(amplitude)[:, None], (1, 0), value=-math.inf)
    to_middle = pad(scale * distance, (1, 0))
    scale = pad(scale, (1, 0))
    window_start = pad(first - start, (1, 0)).to(device)
    pixel = torch.arange(touched_tiles(width, tile) * tile, device=device)
    into = pixel - torch.arange(tile, device=device)[:, None]
    windows = ((into >= 0) & (into < width)).float()  # of the atoms by their window's first pixel

    image = torch.empty(len(amplitude), 1, size, size, device=device)
    # On a CPU one image at a time: it stays in the cache, and its arithmetic cannot depend on the
    # other images of the batch. On a GPU the whole batch at once.
    step = 1 if device.type == "cpu" else max(1, len(amplitude))
    for i in range(0, len(amplitude), step):
        part = slice(i, i + step)
        table = torch.from_numpy(slots.table[part, :, : slots.used[part].max()]).to(device)
        profile = _profiles(log_height[part], scale[part], to_middle[part], len(pixel))
        profile *= windows.index_select(0, window_start[part].reshape(-1)).view_as(profile)
        total = _products(profile.view(*profile.shape[:-1], -1, tile), table)
        image[part, 0] = total[:, :size, :size]
        for _ in range(n.bit_length() - 1):
            image[part].sqrt_()
    return image


def touched_tiles(width: int, tile: int) -> int:
    """Return how many tiles in a row a window of ``width`` px can touch."""
    return (width - 2) // tile + 2


def _profiles(log_height: Tensor, scale: Tensor, to_middle: Tensor, length: int) -> Tensor:
    """Compute the profiles of atoms on ``length`` px, [N, 2, A, length]."""
    pixel = torch.arange(length, dtype=torch.float32, device=scale.device) - length // 2
    x = (scale[..., None] * pixel).add(to_middle[..., None])
    # exp is slow where it underflows; what the clamp raises lies outside the window anyway.
    return torch.addcmul(log_height[..., None], x, x, value=-1, out=x).clamp_(min=-80).exp_()


def _products(profile: Tensor, table: Tensor) -> Tensor:
    """Sum profiles [N, 2, A, S, tile] over the atoms in each tile, [N, tiles^2, K], to images."""
    n, _, atoms, span, tile = profile.shape
    tiles = math.isqrt(table.shape[1])
    image = 2 * atoms * torch.arange(n, dtype=torch.int32, device=table.device)[:, None, None]
    row = (image + (table >> 8)) * span
    pieces = profile.view(-1, tile)
    u = pieces.index_select(0, (row + (table >> 4 & 15)).view(-1))
    v = pieces.index_select(0, (row + (table & 15) + atoms * span).view(-1))
    product = torch.bmm(
        u.view(n * tiles * tiles, -1, tile).transpose(1, 2), v.view(n * tiles * tiles, -1, tile)
    ).view(n, tiles, tiles, tile, tile)
    return product.transpose(2, 3).reshape(n, tiles * tile, tiles * tile)


def tile_table(centres: Centres, present: Tensor, width: int, tiles: int, tile: int) -> TileTable:
    """List which atoms touch which tile of an image of ``tiles`` x ``tiles`` tiles of ``tile`` px.

    Args:
        centres: The atoms' windows.
        present: Atoms to list, [N, A].
        width: Width of the windows, px.
        tiles: Tiles along each axis.
        tile: Width of a tile, px.
    """
    images, atoms = present.shape
    span = touched_tiles(width, tile)
    first = np.stack([f.numpy().reshape(-1) for f in centres[2:]]).astype(np.int32)
    low, high = first // tile, np.minimum((first + (width - 1)) // tile, tiles - 1)
    inside = [(low + i >= 0) & (low + i <= high) for i in range(span)]
    index = np.arange(images * atoms, dtype=np.int32)
    corner = (index // atoms * tiles + low[0]) * tiles + low[1]
    code = (index % atoms + 1) * 256
    listed = present.numpy().reshape(-1)
    cells, codes = [], []
    for i in range(span):
        for j in range(span):
            atom = np.flatnonzero(listed & inside[i][0] & inside[j][1])
            cells.append(corner[atom] + (i * tiles + j))
            codes.append(code[atom] + (16 * i + j))
    cell = np.concatenate(cells)

    total = images * tiles * tiles
    # NumPy sorts 16-bit integers in linear time.
    order = np.argsort(cell.astype(np.uint16) if total <= 1 << 16 else cell, kind="stable")
    count = np.bincount(cell, minlength=total)
    used = np.maximum(count.reshape(images, -1).max(1), 1)
    slots = used.max()
    # The n-th listed entry of a tile goes to its slot n.
    shift = np.arange(total) * slots - (np.cumsum(count) - count)
    table = np.zeros(total * slots, dtype=np.int32)
    table[np.arange(len(order)) + np.repeat(shift, count)] = np.concatenate(codes)[order]
    return TileTable(table.reshape(images, tiles * tiles, slots), used)
