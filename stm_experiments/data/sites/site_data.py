"""Site patches of the user's own images."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from stm_experiments.data.batch import Batch
from stm_experiments.data.module import PatchData, check_counts
from stm_experiments.data.sites.site_loader import SiteLoader, SiteSource
from stm_experiments.data.sites.sites import SiteImage, find_sites
from stm_experiments.data.sources.simulated import part_of
from stm_experiments.io.scan_files import find, read

log = logging.getLogger(__name__)

HELD_OUT = 10  # one of so many sites is held out in an image of one's own


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
        patches_per_epoch: Patches of an epoch, the same sites again and again.
        window: Side of a patch, px; the network's.
        batch_size: Patches of a training step.
        augment: Turn, mirror and shift the training patches.
        fraction: Use only this part of the images.
        seed: Of everything random.
        need_clean: Whether training needs noise-free partners: it cannot have them.

    Raises:
        ValueError: If no image can be used.
    """

    patches_per_epoch: int | None = None  # each site once

    def __init__(
        self,
        *,
        root: str | None,
        channel: str | None = None,
        pixel_nm: float | None = None,
        width: float = 3.0,
        patches_per_epoch: int | None = None,
        window: int,
        batch_size: int,
        augment: bool,
        seed: int,
        fraction: float = 1.0,
        need_clean: bool = False,
    ) -> None:
        if root is None:
            raise ValueError("say where the images are: data.root=<file or folder>")
        if patches_per_epoch is not None:
            check_counts(patches_per_epoch=patches_per_epoch)
        self.patches_per_epoch = patches_per_epoch
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
        return batch._replace(
            noisy=batch.noisy[::every][:count],
            lattice=batch.lattice[::every][:count],
            orientation=batch.orientation[::every][:count],
            image=batch.image[::every][:count],
            position=batch.position[::every][:count],
        )

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
            patches=self.patches_per_epoch if split == "train" else None,
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
