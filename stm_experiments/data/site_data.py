import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stm_experiments.data.batch import Batch, Images, generator
from stm_experiments.data.patch_data import PatchData
from stm_experiments.data.simulated import part_of
from stm_experiments.data.sites import SPARE, SiteImage, cut, disc, find_sites, turn_and_shift
from stm_experiments.scan_files import find, read

log = logging.getLogger(__name__)

JITTER = 0.5  # shift of the training patches, standard deviation, px
HELD_OUT = 10  # one of so many sites is held out in an image of one's own


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
        counts = torch.tensor([len(square) for square in squares])
        self.image = torch.arange(len(pairs)).repeat_interleave(counts)
        middle = torch.cat([image.place[part] for image, part in pairs])
        self.position = (middle - (window - 1) / 2).round().long()
        self.lattice = torch.tensor([image.lattice for image, _ in pairs])[self.image]
        self.orientation = torch.stack([image.orientation for image, _ in pairs])[self.image]

    @property
    def patches_per_epoch(self) -> int:
        """Patches of an epoch."""
        return len(self.squares)

    def __len__(self) -> int:
        """Batches of an epoch; the last may be smaller."""
        return -(-len(self.squares) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch, done = self.place()
        draws = generator(self.seed, self.split, epoch, "sites")
        number = len(self.squares)
        shuffled = self.split == "train"
        order = torch.randperm(number, generator=draws) if shuffled else torch.arange(number)
        angle = 2 * torch.pi * torch.rand(number, generator=draws)
        shift = JITTER * torch.randn(number, 2, generator=draws).clamp(-3, 3)
        mirrored = torch.rand(number, generator=draws) < 0.5
        for batch in range(done, len(self)):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            squares = self.squares[rows.to(self.squares.device)]
            if self.augment:
                moves = (angle[rows], shift[rows], mirrored[rows])
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


class SiteData(PatchData):
    """Patches around the sites of the lattices of images of one's own.

    Every image is trained on, as a defect is to be found in it; every tenth site is held out for
    validation. Its neighbours share most of what it shows, so that this says whether the
    training went well and not how well it would do on another sample.

    Args:
        root: An image or microscope file, a folder of them, or a pattern with ``*``.
        channel: As for ``read_scan``; None: topography.
        pixel_nm: Size of a px, nm; None: the files'.
        width: Side of a patch, distances of nearest neighbours.
        window: Side of a patch, px; the network's.
        batch_size: Patches of a training step.
        augment: Turn, mirror and shift the training patches.
        fraction: Use only this part of the images.
        seed: Of everything random.
        need_clean: Whether training needs noise-free partners: it cannot have them.

    Raises:
        ValueError: If no image can be used.
    """

    def __init__(
        self,
        *,
        root: str | None,
        channel: str | None = None,
        pixel_nm: float | None = None,
        width: float = 3.0,
        window: int,
        batch_size: int,
        augment: bool,
        seed: int,
        fraction: float = 1.0,
        need_clean: bool = False,
    ) -> None:
        if root is None:
            raise ValueError("say where the images are: data.root=<file or folder>")
        images = read_sites(root, channel, window, width, pixel_nm)
        images = images[: part_of(len(images), fraction)]
        held = [np.arange(len(image.kind)) % HELD_OUT == 0 for image in images]
        sources = {
            "train": SiteSource(images, [~part for part in held]),
            "validation": SiteSource(images, held),
        }
        self._prepare(sources, window, batch_size, augment, seed, need_clean)

    def _prepare(
        self,
        sources: Mapping[str, SiteSource],
        window: int,
        batch_size: int,
        augment: bool,
        seed: int,
        need_clean: bool,
    ) -> None:
        if need_clean:
            raise ValueError("sites have no noise-free partners: choose a model=...vae")
        self.site_sources = sources
        super().__init__(
            sources,
            window=window,
            batch_size=batch_size,
            patches_per_image=1,
            sampling="random",
            stride=1,
            augment=augment,
            fresh=True,
            num_workers=0,
            seed=seed,
            need_clean=False,
        )

    @property
    def examined(self) -> list[SiteImage]:
        """The images whose sites are listed after training: those of the test, or all."""
        return self.site_sources["test" if "test" in self.sources else "train"].images

    def loader(self, split: str) -> Any:
        """Patches of a split, always from the first epoch on; for scoring and figures."""
        if split not in self.sources:
            raise ValueError(f"this data source has no {split} images")
        return self._site_loader(split)

    def samples(self, count: int) -> Batch:
        """Some of the held-out patches, for pictures."""
        loader = self._site_loader(self.test_split)
        every = max(1, loader.patches_per_epoch // count)
        loader.batch_size = loader.patches_per_epoch
        batch = next(iter(loader))
        return Batch(*(x[::every][:count] if isinstance(x, Tensor) else x for x in batch))

    def _trainer_loader(self, split: str) -> Any:
        trainer = self.trainer
        if trainer is None or split != "train":
            return self.loader(split)
        loader = self._site_loader(split, trainer.strategy.root_device)
        progress = trainer.fit_loop.epoch_loop.batch_progress
        loader.place = lambda: (trainer.current_epoch, progress.current.ready)
        return loader

    def _site_loader(self, split: str, device: torch.device | None = None) -> SiteLoader:
        cutting = self.cutting
        return SiteLoader(
            self.site_sources[split],
            split,
            window=cutting["window"],
            batch_size=self.batch_size,
            augment=cutting["augment"],
            seed=cutting["seed"],
            device=device,
        )


def read_sites(
    root: str, channel: str | None, window: int, width: float, pixel_nm: float | None = None
) -> list[SiteImage]:
    """Reads images and finds their sites; one that cannot be used is logged and left out.

    Args:
        root: As for ``SiteData``.
        channel: As for ``read_scan``.
        window: Side of the patches, px.
        width: The same in distances of nearest neighbours.
        pixel_nm: Size of a px, nm; None: the file's.

    Raises:
        ValueError: If none can be used.
    """
    images, reasons = [], []
    paths = find(root)
    for path in paths:
        try:
            scan = read(path, channel, "forward", None, pixel_nm)
            data = (scan.data, window, width, scan.mask, scan.pixel_size)
            images.append(find_sites(path.name, *data))
        except ValueError as error:
            log.warning("left out: %s: %s", path.name, error)
            reasons.append(error)
    if not images:
        raise ValueError(f"none of the {len(paths)} images can be used: {reasons[0]}")
    return images
