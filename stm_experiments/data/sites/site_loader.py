"""The loader of site patches."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from stm_experiments.core.seeds import generator
from stm_experiments.data.batch import Batch, Images
from stm_experiments.data.sites.sites import SPARE, SiteImage, cut, disc, turn_and_shift

JITTER = 0.5  # shift of the training patches, standard deviation, px


class SiteSource:
    """Images with sites, as the source of a ``SiteLoader``.

    Args:
        images: At least one.
        parts: Which sites of each are used, [S] bool; None: all.
    """

    fixed = True

    def __init__(
        self, images: Sequence[SiteImage], parts: Sequence[NDArray[np.bool_]] | None = None
    ) -> None:
        self.images = list(images)
        self.count = len(self.images)
        self.parts = parts or [np.ones(len(image.kind), bool) for image in images]

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Images first .. last - 1, cut to the smallest one's size."""
        chosen = self.images[first:last]
        height, width = (min(image.image.shape[axis] for image in chosen) for axis in (1, 2))
        return Images(
            noisy=torch.stack([image.image[:, :height, :width] for image in chosen]),
            clean=None,
            lattice=torch.tensor([image.lattice for image in chosen]),
            orientation=torch.stack([image.orientation for image in chosen]),
            number=torch.arange(first, last),
        )


class SiteLoader:
    """Batches of the patches around the sites; iterating it gives one epoch.

    Training patches are turned by any angle, mirrored and shifted by a little, anew in every epoch:
    pure functions of (seed, epoch).

    Args:
        source: The images.
        split: Only ``train`` is shuffled and turned.
        window: Patch size, px.
        batch_size: Patches of a batch.
        augment: Whether training patches are turned, mirrored and shifted.
        seed: Of everything random.
        device: Where the patches are.
        place: Gives (epoch, batch) from which to go on.
        patches: Patches of an epoch, the same sites again and again; None: each site once.
    """

    def __init__(
        self,
        source: SiteSource,
        split: str,
        *,
        window: int,
        batch_size: int,
        augment: bool,
        seed: int,
        device: torch.device | None = None,
        place: Callable[[], tuple[int, int]] = lambda: (0, 0),
        patches: int | None = None,
    ) -> None:
        self.source, self.split = source, split
        self.window, self.batch_size = window, batch_size
        self.augment = augment and split == "train"
        self.seed, self.place = seed, place
        pairs = [
            (image, torch.from_numpy(part))
            for image, part in zip(source.images, source.parts, strict=True)
        ]
        wide = window + 2 * SPARE
        squares = [cut(image.image, image.place[part], wide) for image, part in pairs]
        self.squares = torch.cat(squares).to(device or torch.device("cpu"))
        self.patches = patches or len(self.squares)
        counts = torch.tensor([len(square) for square in squares])
        self.image = torch.arange(len(pairs)).repeat_interleave(counts)
        middle = torch.cat([image.place[part] for image, part in pairs])
        self.position = (middle - (window - 1) / 2).round().long()
        self.lattice = torch.tensor([image.lattice for image, _ in pairs])[self.image]
        self.orientation = torch.stack([image.orientation for image, _ in pairs])[self.image]

    @property
    def patches_per_epoch(self) -> int:
        """Patches of an epoch."""
        return self.patches

    def __len__(self) -> int:
        """Batches of an epoch; the last may be smaller."""
        return -(-self.patches // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch, done = self.place()
        draws = generator(self.seed, self.split, epoch, "sites")
        number = self.patches
        order = torch.arange(number)
        if self.split == "train":
            order = torch.randperm(number, generator=draws)
        angle = 2 * torch.pi * torch.rand(number, generator=draws)
        shift = JITTER * torch.randn(number, 2, generator=draws).clamp(-3, 3)
        mirrored = torch.rand(number, generator=draws) < 0.5
        for batch in range(done, len(self)):
            draw = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            rows = draw % len(self.squares)
            squares = self.squares[rows.to(self.squares.device)]
            if self.augment:
                moves = (angle[draw], shift[draw], mirrored[draw])
                patches = turn_and_shift(squares, self.window, *moves)
            else:
                inner = squares[..., SPARE:-SPARE, SPARE:-SPARE]
                patches = inner * disc(self.window).to(inner)
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

    def state_dict(self) -> dict[str, int]:
        """Nothing: batches follow from epoch and batch number, which the trainer keeps."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Nothing to restore."""

    def close(self) -> None:
        """Nothing runs ahead."""
