"""The loader of patches: images in, shuffled batches out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from stm_experiments.core.batch import Batch, concatenate, map_tensors
from stm_experiments.core.seeds import generator
from stm_experiments.data.patches import Cutter
from stm_experiments.data.prefetch import Chunks
from stm_experiments.data.settings import PatchSettings
from stm_experiments.data.source import ImageSource


class Place(NamedTuple):
    """The place of a batch in the training.

    Attributes:
        epoch: Number of the epoch.
        batch: Number of the batch within the epoch.
    """

    epoch: int
    batch: int


START = Place(0, 0)


@dataclass(frozen=True)
class Consumer:
    """Who takes the batches: one process, or one of several that share each batch.

    Attributes:
        place: Returns the place at which the next iteration starts.
        device: Device on which patches are cut.
        rank: Number of this process among ``ranks``. It takes every ``ranks``-th patch of a batch,
            and may get none of a last batch that has fewer patches than there are processes.
        ranks: Number of processes that share a batch.
    """

    place: Callable[[], Place] = lambda: START
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rank: int = 0
    ranks: int = 1


ALONE = Consumer()


class Loader(Protocol):
    """Batches of patches; each iteration gives one epoch."""

    @property
    def patches_per_epoch(self) -> int:
        """Patches of an epoch."""

    def __len__(self) -> int:
        """Return the number of batches of an epoch; the last batch may be smaller."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over one epoch, from the consumer's place to its end."""
        ...

    def samples(self, count: int) -> Batch:
        """Return at most ``count`` patches that show much of the split, for pictures."""
        ...

    def close(self) -> None:
        """End the processes that simulate ahead."""
        ...


class PatchLoader:
    """Batches of patches; each iteration gives one epoch.

    The sequence of patches of an epoch is fixed by (seed, split, epoch) alone. A batch is the next
    ``batch_size`` of them: neither batch size, workers nor ranks change which patches there are.
    The patches of up to 32 fresh images, or of all images where they are fixed, are permuted
    together.

    Args:
        source: The images.
        split: ``train``, ``validation`` or ``test``; only ``train`` is shuffled and augmented.
        settings: How patches are cut.
        consumer: Who takes the batches.
    """

    def __init__(
        self, source: ImageSource, split: str, settings: PatchSettings, consumer: Consumer = ALONE
    ) -> None:
        self.source = source
        self.split = split
        self.settings = settings
        self.consumer = consumer
        self._cutter = Cutter(split, settings)
        self._chunks = Chunks(source, settings.workers, consumer.device)
        self._patches_per_image = settings.patches_per_image
        if settings.sampling == "grid":
            height, width = self._chunks.example().noisy.shape[-2:]
            self._patches_per_image = self._cutter.patches_per_image(height, width)

    @property
    def patches_per_epoch(self) -> int:
        """Patches of an epoch."""
        return self.source.count * self._patches_per_image

    def __len__(self) -> int:
        """Return the number of batches of an epoch; the last batch may be smaller."""
        return -(-self.patches_per_epoch // self.settings.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch, batches_done = self.consumer.place()
        if batches_done >= len(self):
            return
        batch_size = self.settings.batch_size
        first_chunk, skip = divmod(
            batches_done * batch_size, self._chunks.images_per_chunk * self._patches_per_image
        )
        pieces: list[Batch] = []
        size = 0  # patches in the pieces, over all ranks
        for chunk in self._chunks.of_epoch(epoch, first_chunk):
            cuts = self._cutter.draw(epoch, chunk.images)
            order = self._order(epoch, chunk.number, cuts.symmetries.numel())[skip:]
            # From here on everything happens on the device, without waiting for the host.
            cuts = map_tensors(cuts, lambda tensor: tensor.to(self.consumer.device))
            order = order.to(self.consumer.device)
            skip = 0
            while len(order):
                rows, order = order[: batch_size - size], order[batch_size - size :]
                pieces.append(self._cutter.cut(chunk.images, cuts, self._share(rows, size)))
                size += len(rows)
                if size == batch_size:
                    yield self._joined(pieces, size)
                    pieces, size = [], 0
        if pieces:
            yield self._joined(pieces, size)

    def samples(self, count: int) -> Batch:
        """Return one patch of each of the first ``count`` images, for pictures."""
        settings = replace(
            self.settings, batch_size=count, patches_per_image=1, sampling="random", num_workers=0
        )
        return next(iter(PatchLoader(self.source, self.split, settings)))

    def state_dict(self) -> dict[str, int]:
        """Return nothing: batches follow from the place, which the trainer keeps."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore nothing."""

    def close(self) -> None:
        """End the processes that simulate ahead."""
        self._chunks.close()

    def _order(self, epoch: int, chunk: int, count: int) -> Tensor:
        """Return the order of a chunk's patches, [count]."""
        if self.split != "train":
            return torch.arange(count)
        draws = generator(self.settings.seed, self.split, epoch, chunk, "order")
        return torch.randperm(count, generator=draws)

    def _share(self, rows: Tensor, start: int) -> Tensor:
        """Return this process's share of rows that follow the first ``start`` rows of a batch."""
        ranks = self.consumer.ranks
        return rows[(self.consumer.rank - start) % ranks :: ranks]

    def _joined(self, pieces: list[Batch], total: int) -> Batch:
        """Return one batch of its pieces; ``total`` counts the patches of all ranks."""
        return concatenate(pieces)._replace(total=total if self.consumer.ranks > 1 else None)
