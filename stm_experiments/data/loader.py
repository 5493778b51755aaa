"""The loader: images in, shuffled batches of patches out."""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stm_experiments.core.seeds import generator
from stm_experiments.data.batch import Batch, Images
from stm_experiments.data.patches import check_fit, cut_patches, dihedral_offsets, grid_positions

# Images whose patches are mixed with one another before they are cut into batches.
SHUFFLE_WINDOW = 32


class Source(Protocol):
    """Where images come from: a pure function of epoch and image numbers, and picklable."""

    @property
    def count(self) -> int:
        """Images in an epoch."""

    @property
    def fixed(self) -> bool:
        """Whether every epoch has the same images."""

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Images first .. last - 1 of an epoch."""
        ...


class _Chunks(Dataset):
    """Images of one shuffle window; what a worker process simulates ahead of the trainer."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, key: tuple[int, int]) -> Images:
        epoch, chunk = key
        first = chunk * SHUFFLE_WINDOW
        return self.source(epoch, first, min(first + SHUFFLE_WINDOW, self.source.count))


class PatchLoader:
    """Batches of patches; iterating it gives one epoch.

    The sequence of patches of an epoch is fixed by (seed, split, epoch) alone; a batch is the next
    ``batch_size`` of them, so neither batch size, workers nor ranks change which patches there
    are. Patches of up to 32 fresh images, or of all images where they are fixed, are permuted
    together.

    Args:
        source: The images.
        split: ``train``, ``validation`` or ``test``; only ``train`` is shuffled and augmented.
        window: Patch size, px.
        batch_size: Patches of a batch, over all ranks.
        patches_per_image: Random positions per image (ignored on a grid).
        sampling: ``random`` or ``grid``.
        stride: Step of the grid, px.
        augment: Turn and flip each patch at random (the eight symmetries of the square).
        fresh: Draw new positions every epoch.
        with_clean: Cut the noise-free training images too.
        workers: Processes that simulate ahead; 0: none.
        seed: Of everything random.
        device: Where patches are cut.
        place: Gives (epoch, batch) from which to go on; (0, 0) when absent.
        rank: This process among ``ranks``; each takes its own rows of every batch, and may get
            none of a last batch that is smaller than their number.
        ranks: Number of processes that share a batch.
    """

    def __init__(
        self,
        source: Source,
        split: str,
        *,
        window: int,
        batch_size: int,
        patches_per_image: int,
        sampling: str,
        stride: int,
        augment: bool,
        fresh: bool,
        workers: int,
        seed: int,
        with_clean: bool = True,
        device: torch.device | None = None,
        place: Callable[[], tuple[int, int]] = lambda: (0, 0),
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.source = source
        self.split = split
        self.window = window
        self.batch_size = batch_size
        self.patches_per_image = patches_per_image
        self.sampling = sampling
        self.stride = stride
        self.augment = augment and split == "train"
        self.fresh = fresh and split == "train"
        self.with_clean = with_clean or split != "train"
        self.workers = workers
        self.seed = seed
        self.device = device or torch.device("cpu")
        self.place = place
        self.rank, self.ranks = rank, ranks
        self._kept: Images | None = None
        self._ahead: Iterator[Images] | None = None
        self._next_epoch = 0
        if sampling == "grid":
            shape = (
                self._fixed_images().noisy.shape if source.fixed else source(0, 0, 1).noisy.shape
            )
            height, width = shape[-2:]
            self.patches_per_image = len(grid_positions(height, width, window, stride))

    @property
    def patches_per_epoch(self) -> int:
        """Patches of an epoch."""
        return self.source.count * self.patches_per_image

    def __len__(self) -> int:
        """Batches of an epoch; the last may be smaller."""
        return -(-self.patches_per_epoch // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch, batches_done = self.place()
        if batches_done >= len(self):
            return
        images_at_once = self.source.count if self.source.fixed else SHUFFLE_WINDOW
        first_chunk, skip = divmod(
            batches_done * self.batch_size, images_at_once * self.patches_per_image
        )
        pieces: list[Batch] = []
        missing = self.batch_size
        for chunk, images in self._chunks(epoch, first_chunk):
            positions, turns = self._draw(epoch, images)
            order = torch.arange(turns.numel())
            if self.split == "train":
                order = torch.randperm(
                    turns.numel(), generator=generator(self.seed, self.split, epoch, chunk, "order")
                )
            start, skip = skip, 0
            while start < len(order):
                rows = order[start : start + missing]
                # Of a batch's rows 0, 1, 2 ... this process takes every ranks-th.
                own = rows[(self.rank - (self.batch_size - missing)) % self.ranks :: self.ranks]
                pieces.append(self._cut(images, positions, turns, own))
                start += len(rows)
                missing -= len(rows)
                if missing == 0:
                    yield self._join(pieces, self.batch_size)
                    pieces, missing = [], self.batch_size
        if pieces:
            yield self._join(pieces, self.batch_size - missing)

    def state_dict(self) -> dict[str, int]:
        """Nothing: batches follow from epoch and batch number, which the trainer keeps."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Nothing to restore."""

    def close(self) -> None:
        """Ends the processes that simulate ahead."""
        self._ahead = None

    def _fixed_images(self) -> Images:
        if self._kept is None:
            self._kept = self.source(0, 0, self.source.count).to(self.device)
        return self._kept

    def _chunks(self, epoch: int, first: int) -> Iterator[tuple[int, Images]]:
        """Numbered chunks of images of one epoch, from chunk ``first`` on."""
        if self.source.fixed:
            yield 0, self._fixed_images()
            return
        chunks = -(-self.source.count // SHUFFLE_WINDOW)
        # Taken away while it is in use, so that two iterations at once do not share one.
        ahead, self._ahead = self._ahead, None
        if ahead is None or (epoch, first) != (self._next_epoch, 0):
            ahead = self._simulate_ahead(epoch, first, chunks)
        for chunk in range(first, chunks):
            images = next(ahead)
            if chunk + 1 == chunks:
                self._ahead, self._next_epoch = ahead, epoch + 1
            yield chunk, images.to(self.device)

    def _simulate_ahead(self, epoch: int, first: int, chunks: int) -> Iterator[Images]:
        """Chunks without end: while one epoch trains, the next one's images are simulated."""

        def keys() -> Iterator[tuple[int, int]]:
            now, chunk = epoch, first
            while True:
                yield now, chunk
                now, chunk = (now, chunk + 1) if chunk + 1 < chunks else (now + 1, 0)

        loader = DataLoader(
            _Chunks(self.source), batch_size=None, sampler=keys(), num_workers=self.workers
        )
        return iter(loader)

    def _draw(self, epoch: int, images: Images) -> tuple[Tensor, Tensor]:
        """Positions [N, P, 2] (px) and symmetries [N, P] (0-7) of an epoch's patches."""
        height, width = images.noisy.shape[-2:]
        check_fit(height, width, self.window)
        positions, turns = [], []
        drawn_in = epoch if self.fresh else 0
        shape = (self.patches_per_image,)
        for index in images.number.tolist():
            random = generator(self.seed, self.split, drawn_in, index, "positions")
            rows = torch.randint(height - self.window + 1, shape, generator=random)
            columns = torch.randint(width - self.window + 1, shape, generator=random)
            positions.append(torch.stack([rows, columns], 1))
            random = generator(self.seed, self.split, epoch, index, "turns")
            turns.append(
                torch.randint(8, shape, generator=random)
                if self.augment
                else torch.zeros(shape, dtype=torch.int64)
            )
        if self.sampling == "grid":
            grid = grid_positions(height, width, self.window, self.stride)
            positions = [grid] * len(positions)
        return torch.stack(positions), torch.stack(turns)

    def _cut(self, images: Images, positions: Tensor, turns: Tensor, rows: Tensor) -> Batch:
        image, patch = rows // turns.shape[1], rows % turns.shape[1]
        position = positions[image, patch]
        height, width = images.noisy.shape[-2:]
        first_pixel = image * height * width + position[:, 0] * width + position[:, 1]
        offsets = dihedral_offsets(self.window, width)[turns[image, patch]]
        first_pixel, offsets = first_pixel.to(self.device), offsets.to(self.device)
        image = image.to(self.device)
        return Batch(
            noisy=cut_patches(images.noisy, first_pixel, offsets),
            clean=cut_patches(images.clean, first_pixel, offsets)
            if images.clean is not None and self.with_clean
            else None,
            lattice=images.lattice[image],
            orientation=images.orientation[image],
            image=images.number[image],
            position=position.to(self.device),
            truth={
                name: cut_patches(known, first_pixel, offsets)
                for name, known in images.truth.items()
            },
        )

    def _join(self, pieces: list[Batch], whole: int) -> Batch:
        """Makes one batch of its pieces; ``whole`` is its number of patches over all ranks."""

        def join(*parts: Tensor) -> Tensor:
            return parts[0] if len(parts) == 1 else torch.cat(parts)

        clean = [piece.clean for piece in pieces if piece.clean is not None]
        return Batch(
            noisy=join(*(piece.noisy for piece in pieces)),
            clean=join(*clean) if clean else None,
            lattice=join(*(piece.lattice for piece in pieces)),
            orientation=join(*(piece.orientation for piece in pieces)),
            image=join(*(piece.image for piece in pieces)),
            position=join(*(piece.position for piece in pieces)),
            truth={
                name: join(*(piece.truth[name] for piece in pieces)) for name in pieces[0].truth
            },
            whole=whole if self.ranks > 1 else None,
        )
