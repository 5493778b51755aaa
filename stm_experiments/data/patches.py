"""Cutting patches out of images, in any of the eight turns and flips."""

import torch
from torch import Tensor


def dihedral_offsets(window: int, width: int) -> Tensor:
    """Where each pixel of a patch lies in a flattened image, for the eight turns and flips.

    Args:
        window: Patch size, px.
        width: Image width, px.

    Returns:
        Offsets from the patch's first pixel, px [8, window**2]; the first row is the patch as
        it is, rows 0-3 are quarter turns, 4-7 the same of its mirror image.
    """
    rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    plain = rows * width + columns
    turned = [torch.rot90(grid, turns) for grid in (plain, plain.flip(1)) for turns in range(4)]
    return torch.stack([grid.flatten() for grid in turned])


def cut_patches(images: Tensor, first_pixel: Tensor, offsets: Tensor) -> Tensor:
    """Cuts and turns many patches at once.

    Args:
        images: [N, 1, H, W].
        first_pixel: Flat index of each patch's first pixel in ``images`` [B].
        offsets: Offsets of its pixels [B, w*w] or [1, w*w].

    Returns:
        Patches [B, 1, w, w].
    """
    window = round(offsets.shape[-1] ** 0.5)
    return images.take(first_pixel[:, None] + offsets).view(-1, 1, window, window)


def check_fit(height: int, width: int, window: int) -> None:
    """Raises a ValueError for images (px) that are smaller than a patch."""
    if window > min(height, width):
        raise ValueError(
            f"images of {height}x{width} px are smaller than the network's {window} px patch"
        )


def grid_positions(height: int, width: int, window: int, stride: int) -> Tensor:
    """First pixels of the patches on a regular grid, (row, column) px [P, 2]."""
    check_fit(height, width, window)
    rows = torch.arange(0, height - window + 1, stride)
    columns = torch.arange(0, width - window + 1, stride)
    return torch.cartesian_prod(rows, columns)
