"""The data module that hands patches to the trainer."""

from collections.abc import Mapping
from typing import TypedDict

import torch
from lightning import LightningDataModule

from stm_experiments.data.batch import Batch
from stm_experiments.data.loader import PatchLoader, Source


class Cutting(TypedDict):
    """Settings that all loaders of a data module share; see ``PatchLoader``."""

    window: int
    patches_per_image: int
    sampling: str
    stride: int
    augment: bool
    fresh: bool
    with_clean: bool
    workers: int
    seed: int


class PatchData(LightningDataModule):
    """The data module of every source: which images, and how they are cut into patches.

    Args:
        sources: Images of each split: ``train``, ``validation``, ``test``; what is absent stays so.
        window: Patch size, px; the network's.
        batch_size: Patches of a training step, over all devices.
        patches_per_image: Patches cut from each image and epoch at random positions.
        sampling: ``random`` positions, or a ``grid`` with a stride (the paper's text).
        stride: Step of the grid, px.
        augment: Turn and flip each training patch at random.
        fresh: New images (simulated) or new positions (from files) every epoch; false: fixed
            before training, as in the paper's code.
        num_workers: Processes that simulate ahead of the trainer; None: one where there are more
            than two threads to train with. On two cores it would take more than it gives.
        seed: Of everything random.
        need_clean: Whether training looks at the noise-free images.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        window: int,
        batch_size: int,
        patches_per_image: int,
        sampling: str,
        stride: int,
        augment: bool,
        fresh: bool,
        num_workers: int | None,
        seed: int,
        need_clean: bool = True,
    ) -> None:
        super().__init__()
        check_counts(
            window=window,
            batch_size=batch_size,
            patches_per_image=patches_per_image,
            stride=stride,
        )
        if num_workers is None:
            num_workers = 1 if torch.get_num_threads() > 2 else 0
        check_counts(least=0, num_workers=num_workers)
        if sampling not in ("random", "grid"):
            raise ValueError(f"data.sampling is 'random' or 'grid', not {sampling!r}")
        self.sources = sources
        self.batch_size = batch_size
        self.cutting: Cutting = {
            "window": window,
            "patches_per_image": patches_per_image,
            "sampling": sampling,
            "stride": stride,
            "augment": augment,
            "fresh": fresh,
            "with_clean": need_clean,
            "workers": num_workers,
            "seed": seed,
        }
        self._loaders: dict[str, PatchLoader] = {}
        self._trainer_loaders: list[PatchLoader] = []

    @property
    def test_split(self) -> str:
        """The split whose numbers are reported: ``test``, or ``validation`` where there is none."""
        for split in ("test", "validation"):
            if split in self.sources:
                return split
        raise ValueError("there are no validation or test images: add a folder 'validation'")

    def loader(self, split: str) -> PatchLoader:
        """Patches of a split, always from the first epoch on; for scoring and figures.

        Raises:
            ValueError: If the source has no such split.
        """
        if split not in self.sources:
            raise ValueError(f"this data source has no {split} images")
        if split not in self._loaders:
            cutting: Cutting = {**self.cutting, "workers": 0}
            self._loaders[split] = PatchLoader(
                self.sources[split], split, batch_size=self.batch_size, **cutting
            )
        return self._loaders[split]

    def samples(self, count: int) -> Batch:
        """One patch of each of the first ``count`` test images, for pictures."""
        cutting: Cutting = {
            **self.cutting,
            "patches_per_image": 1,
            "sampling": "random",
            "workers": 0,
        }
        source = self.sources[self.test_split]
        return next(iter(PatchLoader(source, self.test_split, batch_size=count, **cutting)))

    def teardown(self, stage: str) -> None:
        """Ends the processes that simulate ahead."""
        for loader in self._trainer_loaders:
            loader.close()
        self._trainer_loaders.clear()

    def train_dataloader(self) -> PatchLoader:
        """Training patches, from wherever the trainer stands."""
        return self._trainer_loader("train")

    def val_dataloader(self) -> PatchLoader | list:
        """Validation patches, the same every epoch."""
        return self._trainer_loader("validation") if "validation" in self.sources else []

    def _trainer_loader(self, split: str) -> PatchLoader:
        trainer = self.trainer
        if trainer is None:
            return self.loader(split)

        def place() -> tuple[int, int]:
            done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
            return trainer.current_epoch, done

        loader = PatchLoader(
            self.sources[split],
            split,
            batch_size=self.batch_size,
            **self.cutting,
            device=trainer.strategy.root_device,
            place=place if split == "train" else lambda: (0, 0),
            rank=trainer.global_rank,
            ranks=trainer.world_size,
        )
        self._trainer_loaders.append(loader)
        return loader


def check_counts(least: int = 1, **counts: int) -> None:
    """Refuses counts that make no sense, by the name of their key.

    Raises:
        ValueError: If a count is not a whole number of at least ``least``.
    """
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(
                f"data.{name} must be a whole number of at least {least}, got {value!r}"
            )
