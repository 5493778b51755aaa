"""Images in chunks, which worker processes may simulate ahead of the trainer."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from stm_experiments.core.batch import map_tensors
from stm_experiments.data.image_set import Images
from stm_experiments.data.source import ImageSource

SHUFFLE_WINDOW = 32  # fresh images whose patches are permuted together


class Chunk(NamedTuple):
    """Images whose patches are permuted together.

    Attributes:
        number: Number of the chunk within its epoch.
        images: The images, on the device.
    """

    number: int
    images: Images


class Chunks:
    """The images of a source in chunks: all at once where they are fixed, else 32 at a time.

    Args:
        source: The images.
        workers: Processes that simulate fresh images ahead; 0: none.
        device: Device to which the images go.
    """

    def __init__(self, source: ImageSource, workers: int, device: torch.device) -> None:
        self.source = source
        self.workers = workers
        self.device = device
        self._fixed: Images | None = None
        self._ahead: Iterator[Images] | None = None
        self._next_epoch = 0

    @property
    def images_per_chunk(self) -> int:
        """Images of a chunk; the last chunk of an epoch may have fewer."""
        return self.source.count if self.source.fixed else SHUFFLE_WINDOW

    def example(self) -> Images:
        """Return at least one of the images."""
        return self._fixed_images() if self.source.fixed else self.source(0, 0, 1)

    def of_epoch(self, epoch: int, first: int) -> Iterator[Chunk]:
        """Iterate over the chunks of an epoch, from chunk ``first`` to the last one."""
        if self.source.fixed:
            yield Chunk(0, self._fixed_images())
            return
        count = -(-self.source.count // SHUFFLE_WINDOW)
        # The stream belongs to one iteration at a time: a second one must not read from it.
        ahead, self._ahead = self._ahead, None
        if ahead is None or (epoch, first) != (self._next_epoch, 0):
            ahead = self._simulate_ahead(epoch, first, count)
        for number in range(first, count):
            images = next(ahead)
            if number + 1 == count:
                self._ahead, self._next_epoch = ahead, epoch + 1
            yield Chunk(number, self._on_device(images))

    def close(self) -> None:
        """End the processes that simulate ahead."""
        self._ahead = None

    def _fixed_images(self) -> Images:
        if self._fixed is None:
            self._fixed = self._on_device(self.source(0, 0, self.source.count))
        return self._fixed

    def _on_device(self, images: Images) -> Images:
        return map_tensors(images, lambda tensor: tensor.to(self.device))

    def _simulate_ahead(self, epoch: int, first: int, count: int) -> Iterator[Images]:
        """Iterate over chunks without end: the next epoch's are simulated while one trains."""

        def keys() -> Iterator[tuple[int, int]]:
            current, number = epoch, first
            while True:
                yield current, number
                current, number = (current, number + 1) if number + 1 < count else (current + 1, 0)

        loader = DataLoader(
            _ChunkDataset(self.source), batch_size=None, sampler=keys(), num_workers=self.workers
        )
        return iter(loader)


class _ChunkDataset(Dataset[Images]):
    """Chunks of fresh images by (epoch, number); it is copied to the worker processes."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source

    def __getitem__(self, key: tuple[int, int]) -> Images:
        epoch, number = key
        first = number * SHUFFLE_WINDOW
        return self.source(epoch, first, min(first + SHUFFLE_WINDOW, self.source.count))
