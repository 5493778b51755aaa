"""The loader of patches around lattice sites."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from stm_experiments.core.batch import Batch, map_tensors
from stm_experiments.core.seeds import generator
from stm_experiments.data.image_set import Images
from stm_experiments.data.loader import ALONE, Consumer
from stm_experiments.data.settings import PatchSettings
from stm_experiments.data.sites.sites import (
    MARGIN,
    SiteImage,
    cut_squares,
    disc,
    turn_and_shift,
)
from stm_experiments.data.source import ImageSource

JITTER = 0.5  # shift of the training patches, standard deviation, px


class SiteImages:
    """Images of one split with the sites of their lattices.

    Args:
        images: The images, at least one.
        used: Which sites of each image are used, [S] bool each; None: all.
        patches_per_epoch: Patches of an epoch, the same sites again and again; None: each site
            once.
    """

    fixed = True

    def __init__(
        self,
        images: Sequence[SiteImage],
        used: Sequence[NDArray[np.bool_]] | None = None,
        patches_per_epoch: int | None = None,
    ) -> None:
        self.images = list(images)
        self.count = len(self.images)
        self.used = used or [np.ones(len(image.kind), bool) for image in images]
        self.patches_per_epoch = patches_per_epoch or int(sum(used.sum() for used in self.used))

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Return images ``first`` .. ``last - 1``, cropped to the size of the smallest one."""
        images = self.images[first:last]
        height, width = (min(image.image.shape[axis] for image in images) for axis in (1, 2))
        return Images(
            noisy=torch.stack([image.image[:, :height, :width] for image in images]),
            clean=None,
            lattice=torch.tensor([image.lattice for image in images]),
            orientation=torch.stack([image.orientation for image in images]),
            number=torch.arange(first, last),
            truth={},
        )


class SiteLoader:
    """Batches of patches around sites; each iteration gives one epoch.

    Training patches are turned by any angle, mirrored and shifted by a little, anew in every epoch:
    pure functions of (seed, epoch). Processes that train together get the same batches.

    Args:
        source: The images and their sites.
        split: Only ``train`` is shuffled and augmented.
        settings: Patch size, batch size, augmentation and seed.
        consumer: Who takes the batches.
    """

    def __init__(
        self, source: SiteImages, split: str, settings: PatchSettings, consumer: Consumer = ALONE
    ) -> None:
        self.source, self.split = source, split
        self.settings, self.consumer = settings, consumer
        window = settings.window
        sites = [
            image.place[torch.from_numpy(used)]
            for image, used in zip(source.images, source.used, strict=True)
        ]
        squares = [
            cut_squares(image.image, place, window + 2 * MARGIN)
            for image, place in zip(source.images, sites, strict=True)
        ]
        self.squares = torch.cat(squares).to(consumer.device)
        self.image = torch.arange(len(sites)).repeat_interleave(torch.tensor(list(map(len, sites))))
        self.position = (torch.cat(sites) - (window - 1) / 2).round().long()
        self.lattice = torch.tensor([image.lattice for image in source.images])[self.image]
        self.orientation = torch.stack([image.orientation for image in source.images])[self.image]

    @property
    def patches_per_epoch(self) -> int:
        """Patches of an epoch."""
        return self.source.patches_per_epoch

    def __len__(self) -> int:
        """Return the number of batches of an epoch; the last batch may be smaller."""
        return -(-self.patches_per_epoch // self.settings.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch, batches_done = self.consumer.place()
        count, batch_size = self.patches_per_epoch, self.settings.batch_size
        training = self.split == "train"
        draws = generator(self.settings.seed, self.split, epoch, "sites")
        order = torch.randperm(count, generator=draws) if training else torch.arange(count)
        angle = 2 * torch.pi * torch.rand(count, generator=draws)
        shift = JITTER * torch.randn(count, 2, generator=draws).clamp(-3, 3)
        mirrored = torch.rand(count, generator=draws) < 0.5
        window = self.settings.window
        for first in range(batches_done * batch_size, count, batch_size):
            draw = order[first : first + batch_size]
            rows = draw % len(self.squares)
            squares = self.squares[rows.to(self.squares.device)]
            if self.settings.augment and training:
                patches = turn_and_shift(squares, window, angle[draw], shift[draw], mirrored[draw])
            else:
                inner = squares[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
                patches = inner * disc(window).to(inner)
            device = patches.device
            yield Batch(
                noisy=patches,
                clean=None,
                lattice=self.lattice[rows].to(device),
                orientation=self.orientation[rows].to(device),
                image=self.image[rows].to(device),
                position=self.position[rows].to(device),
                truth={},
            )

    def samples(self, count: int) -> Batch:
        """Return ``count`` patches at equal steps through all sites, for pictures."""
        step = max(1, self.patches_per_epoch // count)
        settings = replace(self.settings, batch_size=self.patches_per_epoch)
        batch = next(iter(SiteLoader(self.source, self.split, settings)))
        return map_tensors(batch, lambda tensor: tensor[::step][:count])

    def state_dict(self) -> dict[str, int]:
        """Return nothing: batches follow from the place, which the trainer keeps."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore nothing."""

    def close(self) -> None:
        """Do nothing: no process simulates ahead."""


def listed_images(sources: Mapping[str, ImageSource]) -> list[SiteImage]:
    """Return the images whose sites are listed after training: those of the test, else all.

    Args:
        sources: The images of each split.

    Returns:
        The images; none if the sources have no sites.
    """
    source = sources.get("test", sources.get("train"))
    return source.images if isinstance(source, SiteImages) else []
