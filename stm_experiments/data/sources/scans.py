"""Microscope files as a data source."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from stm_experiments.core.batch import map_tensors
from stm_experiments.core.images import ImageError, fill_nearest
from stm_experiments.core.normalisation import NORMALISATIONS
from stm_experiments.core.seeds import generator
from stm_experiments.data.folds import fold_shares
from stm_experiments.data.image_set import Images
from stm_experiments.data.settings import SPLITS, PatchSettings, check_whole_numbers, part_of
from stm_experiments.io import Scan, ScanError, read_scan
from stm_experiments.io.scan_files import find_scan_files

log = logging.getLogger(__name__)

# The traces that each setting of ``direction`` reads.
DIRECTIONS = {"forward": ("forward",), "backward": ("backward",), "both": ("forward", "backward")}
FEWEST_FILES = 5  # number of files from which whole files are held out
COMPLETE = 0.98  # measured share of a row that counts as scanned
GAP = 8  # px between the training part of an image and its held-out strip


class ScanFile(NamedTuple):
    """The part of a file that is used.

    Attributes:
        name: The file's name.
        traces: An image for each direction, on about [-1, 1], [H, W] each.
    """

    name: str
    traces: list[NDArray[np.float32]]


class Tiles:
    """Images of one size, held in memory.

    Args:
        images: [N, 1, H, W].
    """

    fixed = True

    def __init__(self, images: torch.Tensor) -> None:
        self.count = len(images)
        self.images = Images(
            noisy=images,
            clean=None,
            lattice=torch.full((self.count,), -1),
            orientation=torch.full((self.count, 3), torch.nan, dtype=torch.float64),
            number=torch.arange(self.count),
            truth={},
        )

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Return tiles ``first`` .. ``last - 1``, the same in every epoch."""
        return map_tensors(self.images, lambda tensor: tensor[first:last])


@dataclass(frozen=True)
class ScanData:
    """A folder of microscope scans, which have no noise-free partners.

    Every file that ``read_scan`` can read is used; a file that cannot be used is logged and left
    out. Of an unfinished scan the largest block of complete rows, or of complete columns, is used.
    Scans of different sizes are cut into tiles of one size, which overlap where they must so that
    all is covered; the tiles are the "images" of batches, figures and intervals. Intervals by tile
    are too narrow, because tiles of one scan are alike.

    Of five or more files, whole files are held out, drawn by the seed: a share for validation and
    as many for the test. Forward and backward traces of a file stay together, but a surface that
    was scanned twice is in two files. Of fewer files the lowest rows of every scan are held out for
    validation, 8 px below the others, and there is no test. Each scan is scaled as a whole before
    it is divided.

    Attributes:
        root: The folder; or a file, or a pattern with ``*``.
        channel: As for ``read_scan``; None: topography.
        direction: ``forward``, ``backward``, or ``both``: two images of each file that has both.
        normalisation: ``plane``: the plane is subtracted, and the 1st and 99th percentile become -1
            and 1; ``minmax``: the paper's.
        tile: Side of a tile, px; smaller scans are left out. None: as high and wide as the smallest
            scan.
        held_out: Share of the files, or of the rows, that is held out.
        fraction: Use only this part of the tiles of each split, spread over its scans.
        folds: Divide the files into this many folds, in place of ``held_out``; None: no folds.
        fold: Number of the fold that is tested, from 0.
    """

    root: str | None
    channel: str | None = None
    direction: str = "forward"
    normalisation: str = "plane"
    tile: int | None = None
    held_out: float = 0.2
    fraction: float = 1.0
    folds: int | None = None
    fold: int = 0

    def splits(self, settings: PatchSettings) -> dict[str, Tiles]:
        """Read the scans, divide them into splits and cut them into tiles.

        Raises:
            ValueError: If no file can be used, or a setting makes no sense.
        """
        window = settings.window
        self._check(settings)
        files = self._read_files(self.tile or window)
        sources = {}
        if self.folds is None:
            divided = split_scans(files, self.held_out, window, settings.seed)
        else:
            shares = fold_shares(len(files), self.folds, self.fold, settings.seed)
            divided = traces_of(files, shares)
        for split, images in divided.items():
            tiles = cut_tiles(images, self.tile, window)
            count = part_of(len(tiles), self.fraction)
            sources[split] = Tiles(tiles[[i * len(tiles) // count for i in range(count)]])
            height, width = tiles.shape[-2:]
            log.info("%s: %d tiles of %d x %d px", split, count, height, width)
        return sources

    def files(self) -> list[Path]:
        """Return the files of the folder, also those that cannot be used."""
        return [] if self.root is None else find_scan_files(self.root)

    def _check(self, settings: PatchSettings) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"data.direction is {', '.join(DIRECTIONS)}, not {self.direction!r}")
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(f"data.normalisation is plane or minmax, not {self.normalisation!r}")
        if not isinstance(self.held_out, int | float) or not 0 < self.held_out <= 0.5:
            raise ValueError(f"data.held_out is above 0 and at most 0.5, not {self.held_out!r}")
        if self.tile is not None:
            check_whole_numbers(least=settings.window, tile=self.tile)
        if settings.need_clean:
            raise ValueError(
                "scans have no noise-free partners: choose model=denoiser_rowblind or another "
                "without model.target=clean"
            )

    def _read_files(self, smallest: int) -> list[ScanFile]:
        """Read and scale all scans that can be used, in the order of their names.

        Args:
            smallest: Side of the smallest scan that is of use, px.

        Raises:
            ValueError: If no scan can be used.
        """
        if self.root is None:
            raise ValueError("say where the scans are: data.root=<folder>")
        paths = find_scan_files(self.root)
        normalise = NORMALISATIONS[self.normalisation]
        files, reasons = [], []
        for path in paths:
            try:
                traces = []
                for scan in read_traces(path, self.channel, DIRECTIONS[self.direction]):
                    data = measured_block(scan)
                    if min(data.shape) < smallest:
                        raise ScanError(
                            f"{path}: {data.shape[0]} x {data.shape[1]} px were measured, at least "
                            f"{smallest} x {smallest} px are needed"
                        )
                    traces.append(normalise(data, str(path))[0])
                files.append(ScanFile(path.name, traces))
            except ImageError as error:
                log.warning("left out: %s", error)
                reasons.append(error)
        if not files:
            raise ValueError(f"none of the {len(paths)} files can be used, such as {reasons[0]}")
        return files


def read_traces(path: Path, channel: str | None, directions: tuple[str, ...]) -> list[Scan]:
    """Read traces of a file; of two traces, those that the file has.

    Raises:
        ScanError: If it has none of them.
    """
    scans: dict[str, Scan] = {}
    for direction in directions:
        try:
            scan = read_scan(path, channel, direction)
        except ScanError:
            if not scans:
                raise
        else:
            # A file of backward traces alone gives them for either direction.
            scans[scan.direction] = scan
    return list(scans.values())


def measured_block(scan: Scan) -> NDArray[np.float64]:
    """Return the largest block of rows, or of columns, of a scan [H, W] that were measured.

    Missing pixels, at most one in fifty of a row, get the value of their nearest neighbour.
    """
    rows, columns = (longest_run(scan.mask.mean(axis=axis) >= COMPLETE) for axis in (1, 0))
    data = fill_nearest(scan.data, scan.mask)
    return max(data[rows], data[:, columns], key=np.size)


def longest_run(flags: NDArray[np.bool_]) -> slice:
    """Return the longest run of True; the first of equally long ones."""
    edges = np.flatnonzero(np.diff(np.pad(flags, 1).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return slice(0)
    longest = int(np.argmax(ends - starts))
    return slice(int(starts[longest]), int(ends[longest]))


def split_scans(
    files: Sequence[ScanFile], held_out: float, window: int, seed: int
) -> dict[str, list[NDArray[np.float32]]]:
    """Return the images of each split: whole files, or the upper and the lower rows of few files.

    Args:
        files: The scans.
        held_out: Share that is held out.
        window: Patch size, px.
        seed: Decides which files are held out.

    Raises:
        ValueError: If no scan is high enough to be divided.
    """
    if len(files) >= FEWEST_FILES:
        return split_by_file(files, held_out, seed)
    upper, lower = [], []
    for trace in (trace for file in files for trace in file.traces):
        height = len(trace)
        strip = max(window, round(held_out * height))
        if height - strip - GAP < window:
            upper.append(trace)
            continue
        upper.append(trace[: height - strip - GAP])
        lower.append(trace[height - strip :])
    if not lower:
        raise ValueError(
            f"of fewer than {FEWEST_FILES} files the lowest rows are held out, and none of them is "
            f"{2 * window + GAP} px high: two patches and {GAP} px between them"
        )
    return {"train": upper, "validation": lower}


def split_by_file(
    files: Sequence[ScanFile], held_out: float, seed: int
) -> dict[str, list[NDArray[np.float32]]]:
    """Return the images of each split; all traces of a file are in one split."""
    order = torch.randperm(len(files), generator=generator(seed, "held-out files")).tolist()
    number = max(1, round(held_out * len(files)))
    number = min(number, (len(files) - 1) // 2)  # at least one file is left to train on
    shares = (order[2 * number :], order[:number], order[number : 2 * number])
    return traces_of(files, dict(zip(SPLITS, map(sorted, shares), strict=True)))


def traces_of(
    files: Sequence[ScanFile], chosen: dict[str, list[int]]
) -> dict[str, list[NDArray[np.float32]]]:
    """Return the images of each split, and log the names of the files that are held out.

    Args:
        files: All files.
        chosen: Numbers of the files of each split, in the folder's order.
    """
    for split in ("validation", "test"):
        log.info("%s: %s", split, ", ".join(files[index].name for index in chosen[split]))
    return {
        split: [trace for index in numbers for trace in files[index].traces]
        for split, numbers in chosen.items()
    }


def cut_tiles(images: Sequence[NDArray[np.float32]], tile: int | None, window: int) -> torch.Tensor:
    """Cut images into tiles of one size, evenly spaced from edge to edge.

    Neighbours overlap by a patch less one pixel, so that a patch can lie anywhere, or by half a
    tile where the tiles are hardly larger than a patch.

    Args:
        images: [H, W] each, of any sizes of at least a patch.
        tile: Largest side, px; None: the smallest image's height and width.
        window: Patch size, px.

    Returns:
        [N, 1, h, w].
    """
    sides = [min(image.shape[axis] for image in images) for axis in (0, 1)]
    height, width = (side if tile is None else min(tile, side) for side in sides)

    def starts(length: int, side: int) -> list[int]:
        step = max(side // 2, side - window + 1)
        count = -(-(length - side) // step) + 1
        return [round(place) for place in np.linspace(0, length - side, count)]

    tiles = [
        image[row : row + height, column : column + width]
        for image in images
        for row in starts(image.shape[0], height)
        for column in starts(image.shape[1], width)
    ]
    return torch.from_numpy(np.stack(tiles))[:, None]
