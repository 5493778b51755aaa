"""Patches are cut out of images, in any of the eight turns and flips."""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.batch import Batch
from stm_experiments.core.seeds import generator
from stm_experiments.data.image_set import Images
from stm_experiments.data.settings import PatchSettings


class Cuts(NamedTuple):
    """Where and how P patches are cut from each of N images.

    Attributes:
        positions: Row and column of each patch's first pixel, px, [N, P, 2].
        symmetries: Number of the turn or flip, 0-7 as in ``dihedral_offsets``, [N, P].
    """

    positions: Tensor
    symmetries: Tensor


@dataclass(frozen=True)
class Cutter:
    """Cuts the images of one split into patches.

    Attributes:
        split: ``train``, ``validation`` or ``test``; only ``train`` is augmented and gets new
            positions in every epoch.
        settings: How the patches are cut.
    """

    split: str
    settings: PatchSettings

    def patches_per_image(self, height: int, width: int) -> int:
        """Return how many patches are cut from an image of this size (px)."""
        if self.settings.sampling == "grid":
            return len(grid_positions(height, width, self.settings.window, self.settings.stride))
        return self.settings.patches_per_image

    def draw(self, epoch: int, images: Images) -> Cuts:
        """Draw an epoch's positions and symmetries; those of an image depend on no other image.

        Raises:
            ValueError: If the images are smaller than a patch.
        """
        height, width = images.noisy.shape[-2:]
        window, training = self.settings.window, self.split == "train"
        check_fit(height, width, window)
        position_epoch = epoch if self.settings.fresh and training else 0
        shape = (self.patches_per_image(height, width),)
        positions, symmetries = [], []
        for number in images.number.tolist():
            if self.settings.sampling == "grid":
                positions.append(grid_positions(height, width, window, self.settings.stride))
            else:
                draws = generator(
                    self.settings.seed, self.split, position_epoch, number, "positions"
                )
                rows = torch.randint(height - window + 1, shape, generator=draws)
                columns = torch.randint(width - window + 1, shape, generator=draws)
                positions.append(torch.stack([rows, columns], 1))
            if self.settings.augment and training:
                draws = generator(self.settings.seed, self.split, epoch, number, "turns")
                symmetries.append(torch.randint(8, shape, generator=draws))
            else:
                symmetries.append(torch.zeros(shape, dtype=torch.int64))
        return Cuts(torch.stack(positions), torch.stack(symmetries))

    def cut(self, images: Images, cuts: Cuts, rows: Tensor) -> Batch:
        """Cut some patches.

        Args:
            images: The images for which ``cuts`` were drawn.
            cuts: Where and how, on the images' device.
            rows: Numbers of the patches, counted through all images in turn, on that device, [B].

        Returns:
            The patches, on the images' device.
        """
        device = images.noisy.device
        per_image = cuts.symmetries.shape[1]
        image, patch = rows // per_image, rows % per_image
        position = cuts.positions[image, patch]
        height, width = images.noisy.shape[-2:]
        first_pixel = image * height * width + position[:, 0] * width + position[:, 1]
        # Short numbers are faster to add and to follow.
        kind = torch.int32 if images.noisy.numel() < 2**31 else torch.int64
        first_pixel = first_pixel.to(kind)
        symmetry = cuts.symmetries[image, patch]
        offsets = kept_offsets(self.settings.window, width, kind, device)[symmetry]
        use_clean = self.settings.need_clean or self.split != "train"
        return Batch(
            noisy=cut_patches(images.noisy, first_pixel, offsets),
            clean=cut_patches(images.clean, first_pixel, offsets)
            if images.clean is not None and use_clean
            else None,
            lattice=images.lattice[image],
            orientation=images.orientation[image],
            image=images.number[image],
            position=position,
            truth={
                name: cut_patches(values, first_pixel, offsets)
                if values.ndim == images.noisy.ndim
                else values[image]
                for name, values in images.truth.items()
            },
        )


def dihedral_offsets(window: int, width: int) -> Tensor:
    """Return where each pixel of a patch lies in a flattened image, for the eight symmetries.

    Args:
        window: Patch size, px.
        width: Image width, px.

    Returns:
        Offsets from the patch's first pixel, px, [8, window**2]; the first row is the patch as
        it is, rows 0-3 are quarter turns, 4-7 the same of its mirror image.
    """
    rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    upright = rows * width + columns
    turned = [torch.rot90(grid, turns) for grid in (upright, upright.flip(1)) for turns in range(4)]
    return torch.stack([grid.flatten() for grid in turned])


@cache
def kept_offsets(window: int, width: int, kind: torch.dtype, device: torch.device) -> Tensor:
    """Return ``dihedral_offsets`` as integers of some size on a device; computed once."""
    return dihedral_offsets(window, width).to(device, kind)


def cut_patches(images: Tensor, first_pixel: Tensor, offsets: Tensor) -> Tensor:
    """Cut and turn many patches at once.

    Args:
        images: [N, 1, H, W].
        first_pixel: Flat index of each patch's first pixel in ``images``, [B].
        offsets: Offsets of the patch's pixels, [B, w*w] or [1, w*w].

    Returns:
        Patches, [B, 1, w, w].
    """
    window = round(offsets.shape[-1] ** 0.5)
    pixels = (first_pixel[:, None] + offsets).flatten()
    return images.flatten().index_select(0, pixels).view(-1, 1, window, window)


def check_fit(height: int, width: int, window: int) -> None:
    """Refuse images (px) that are smaller than a patch.

    Raises:
        ValueError: If an image is smaller than a patch.
    """
    if window > min(height, width):
        raise ValueError(
            f"images of {height}x{width} px are smaller than the network's {window} px patch"
        )


def grid_positions(height: int, width: int, window: int, stride: int) -> Tensor:
    """Return the first pixels (row, column) of the patches on a regular grid, px, [P, 2]."""
    check_fit(height, width, window)
    rows = torch.arange(0, height - window + 1, stride)
    columns = torch.arange(0, width - window + 1, stride)
    return torch.cartesian_prod(rows, columns)
