"""The data module that hands patches to the trainer."""

from dataclasses import replace

import torch
from lightning import LightningDataModule
from torch import Tensor

from stm_experiments.core.batch import Batch, map_tensors
from stm_experiments.data.described import DescribedImages
from stm_experiments.data.loader import ALONE, START, Consumer, Loader, PatchLoader, Place
from stm_experiments.data.settings import PatchSettings
from stm_experiments.data.sites.site_loader import SiteImages, SiteLoader
from stm_experiments.data.source import DataSource, FileSource, ImageSource


class PatchData(LightningDataModule):
    """The data module of every source: which images, and how they are cut into patches.

    Args:
        source: The images of all splits.
        settings: How they are cut; None: into 512 patches of 17x17 px, as CAE-A takes them.

    Attributes:
        files: The files that the images are read from; none if they are simulated.

    Raises:
        ValueError: If there are no such images, or they cannot be cut in this way.
    """

    def __init__(self, source: DataSource, settings: PatchSettings | None = None) -> None:
        super().__init__()
        if settings is None:
            settings = PatchSettings(window=17, patches_per_image=512, augment=True)
        self.settings = settings
        self.sources = source.splits(settings)
        self.files = list(source.files()) if isinstance(source, FileSource) else []
        self._loaders: dict[str, Loader] = {}
        self._trainer_loaders: list[Loader] = []

    @property
    def test_split(self) -> str:
        """The split whose numbers are reported: ``test``, or ``validation`` where there is none."""
        for split in ("test", "validation"):
            if split in self.sources:
                return split
        raise ValueError("there are no validation or test images: add a folder 'validation'")

    def loader(self, split: str) -> Loader:
        """Return the patches of a split, always of the first epoch; for scoring and figures.

        Raises:
            ValueError: If the source has no such split.
        """
        if split not in self._loaders:
            settings = replace(self.settings, num_workers=0)
            self._loaders[split] = make_loader(self._source(split), split, settings)
        return self._loaders[split]

    def samples(self, count: int) -> Batch:
        """Return at most ``count`` test patches, for pictures."""
        return self.loader(self.test_split).samples(count)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Return a batch on the device; most were cut there."""
        if batch.noisy.device == device:
            return batch
        return map_tensors(batch, lambda tensor: tensor.to(device))

    def teardown(self, stage: str) -> None:
        """End the processes that simulate ahead."""
        for loader in self._trainer_loaders:
            loader.close()
        self._trainer_loaders.clear()

    def train_dataloader(self) -> Loader:
        """Return the training patches, from the place at which the trainer is."""
        return self._trainer_loader("train")

    @property
    def steps_per_epoch(self) -> int:
        """Training batches of an epoch, each of one step."""
        return len(self.loader("train"))

    def val_dataloader(self) -> Loader | list[Loader]:
        """Return the validation patches, the same in every epoch."""
        return self._trainer_loader("validation") if "validation" in self.sources else []

    def test_dataloader(self) -> Loader:
        """Return the held-out patches of ``test_split``."""
        return self._trainer_loader(self.test_split)

    def predict_dataloader(self) -> Loader:
        """Return the held-out patches of ``test_split``."""
        return self._trainer_loader(self.test_split)

    def descriptions(self, count: int) -> Tensor:
        """Return the descriptions of the first ``count`` training images, [N, K].

        Fewer if the images are always the same and there are not so many.

        Raises:
            ValueError: If the settings name no description.
        """
        source = described(self._source("train"), self.settings)
        parts = []
        for epoch in range(1 if source.fixed else -(-count // source.count)):
            last = min(count - epoch * source.count, source.count)
            images = source(epoch, 0, last)
            if "description" not in images.truth:
                raise ValueError("this network learns from descriptions of its images: name one")
            parts.append(images.truth["description"])
        return torch.cat(parts)

    def _trainer_loader(self, split: str) -> Loader:
        trainer = self.trainer
        if trainer is None:
            return self.loader(split)

        def place() -> Place:
            progress = trainer.fit_loop.epoch_loop.batch_progress
            return Place(trainer.current_epoch, progress.current.ready)

        consumer = Consumer(
            place=place if split == "train" else lambda: START,
            device=trainer.strategy.root_device,
            rank=trainer.global_rank,
            ranks=trainer.world_size,
        )
        settings = self.settings
        if split == "train":
            # An objective may ask for the patches of several steps in one batch.
            steps: int = getattr(trainer.lightning_module, "steps_at_once", 1)
            settings = replace(settings, batch_size=settings.batch_size * steps)
        loader = make_loader(self._source(split), split, settings, consumer)
        self._trainer_loaders.append(loader)
        return loader

    def _source(self, split: str) -> ImageSource:
        if split not in self.sources:
            raise ValueError(f"this data source has no {split} images")
        return self.sources[split]


def make_loader(
    source: ImageSource, split: str, settings: PatchSettings, consumer: Consumer = ALONE
) -> Loader:
    """Return the loader of a source: patches around its sites if it has sites, else of its area."""
    if isinstance(source, SiteImages):
        settings.require("patches around sites", description=None)
        return SiteLoader(source, split, settings, consumer)
    return PatchLoader(described(source, settings), split, settings, consumer)


def described(source: ImageSource, settings: PatchSettings) -> ImageSource:
    """Return the source, with a description of each image if the settings name one."""
    if settings.description is None:
        return source
    return DescribedImages(source, settings.description)
