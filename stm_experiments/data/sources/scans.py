"""Microscope files as a source of patches."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from stm_experiments.core.gaps import fill_nearest
from stm_experiments.core.images import ImageError
from stm_experiments.core.normalisation import NORMALISATIONS
from stm_experiments.core.seeds import generator
from stm_experiments.data.batch import SPLITS, Images
from stm_experiments.data.module import PatchData, check_counts
from stm_experiments.data.sources.simulated import part_of
from stm_experiments.io import Scan, ScanError, read_scan
from stm_experiments.io.scan_files import find

log = logging.getLogger(__name__)

DIRECTIONS = {"forward": ("forward",), "backward": ("backward",), "both": ("forward", "backward")}
FEWEST_FILES = 5  # from which on whole files are held out
COMPLETE = 0.98  # measured share of a row that counts as scanned
GAP = 8  # px between the training part of an image and its held-out strip

Image = NDArray[np.float32]


class ScanFile(NamedTuple):
    """What is used of one file: a trace for each direction, [H,W] on about [-1, 1]."""

    name: str
    traces: list[Image]


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
        )

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Tiles first .. last - 1, the same in every epoch."""
        return self.images.part(first, last)


class ScanData(PatchData):
    """Patches of a folder of microscope scans, which have no noise-free partners.

    Every file that ``read_scan`` knows is read; one that cannot be used is logged and left out. Of
    an unfinished scan the largest block of complete rows, or of complete columns, is used. Scans of
    different sizes are cut into tiles of one size, which overlap where they must so that all is
    covered; these are the "images" of batches, figures and intervals. Intervals by tile are too
    narrow, as tiles of one scan are alike.

    From five files on, whole files are held out, drawn by the seed: a share for validation and as
    many for the test; forward and backward traces of a file stay together, but a surface that was
    scanned twice is in two files. Of fewer files the lowest rows of every scan are validation, with
    8 px between them and the rest; there is no test then. Each scan is scaled as a whole before it
    is parted.

    Args:
        root: The folder; or a file, or a pattern with ``*``.
        channel: As for ``read_scan``; None: topography.
        direction: ``forward``, ``backward``, or ``both``: two images of each file that has both.
        normalisation: ``plane``: the plane is taken off, and the 1st and 99th percentile become -1
            and 1; ``minmax``: the paper's.
        tile: Side of a tile, px; smaller scans are left out. None: as high and wide as the smallest
            scan.
        held_out: Share of the files, or of the rows, that is held out.
        fraction: Use only this part of the tiles of each split, spread over its scans.
        need_clean: Whether training needs noise-free partners: it cannot have them.
        cutting: How patches are cut; see ``PatchData``.

    Raises:
        ValueError: If no file can be used, or a setting makes no sense.
    """

    def __init__(
        self,
        *,
        root: str | None,
        channel: str | None = None,
        direction: str = "forward",
        normalisation: str = "plane",
        tile: int | None = None,
        held_out: float = 0.2,
        fraction: float = 1.0,
        need_clean: bool = False,
        seed: int,
        **cutting: Any,
    ) -> None:
        window = cutting["window"]
        if root is None:
            raise ValueError("say where the scans are: data.root=<folder>")
        if direction not in DIRECTIONS:
            raise ValueError(f"data.direction is {', '.join(DIRECTIONS)}, not {direction!r}")
        if normalisation not in NORMALISATIONS:
            raise ValueError(f"data.normalisation is plane or minmax, not {normalisation!r}")
        if not isinstance(held_out, int | float) or not 0 < held_out <= 0.5:
            raise ValueError(f"data.held_out is above 0 and at most 0.5, not {held_out!r}")
        if tile is not None:
            check_counts(least=window, tile=tile)
        if need_clean:
            raise ValueError(
                "scans have no noise-free partners: choose model=denoiser_rowblind or another "
                "without model.target=clean"
            )
        files = read_files(root, channel, direction, normalisation, tile or window)
        parts = parted(files, held_out, window, seed)
        sources = {}
        for split, images in parts.items():
            tiles = cut_tiles(images, tile, window)
            count = part_of(len(tiles), fraction)
            sources[split] = Tiles(tiles[[i * len(tiles) // count for i in range(count)]])
            height, width = tiles.shape[-2:]
            log.info("%s: %d tiles of %d x %d px", split, count, height, width)
        super().__init__(sources, need_clean=False, seed=seed, **cutting)


def read_files(
    root: str, channel: str | None, direction: str, normalisation: str, smallest: int
) -> list[ScanFile]:
    """Reads and scales all scans that can be used, in order of their names.

    Args:
        root: The folder.
        channel: As for ``read_scan``.
        direction: ``forward``, ``backward`` or ``both``.
        normalisation: ``plane`` or ``minmax``.
        smallest: Side of the smallest scan that is of use, px.

    Raises:
        ValueError: If there is none.
    """
    paths = find(root)
    files, reasons = [], []
    for path in paths:
        try:
            scans = read_traces(path, channel, DIRECTIONS[direction])
            traces = []
            for scan in scans:
                data = measured(scan)
                if min(data.shape) < smallest:
                    raise ScanError(
                        f"{path}: {data.shape[0]} x {data.shape[1]} px were measured, at least "
                        f"{smallest} x {smallest} px are needed"
                    )
                traces.append(NORMALISATIONS[normalisation](data, str(path))[0])
            files.append(ScanFile(path.name, traces))
        except ImageError as error:
            log.warning("left out: %s", error)
            reasons.append(error)
    if not files:
        raise ValueError(f"none of the {len(paths)} files can be used, such as {reasons[0]}")
    return files


def read_traces(path: Path, channel: str | None, directions: tuple[str, ...]) -> list[Scan]:
    """The asked traces of a file; of two, those that it has.

    Raises:
        ScanError: If there is none.
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


def measured(scan: Scan) -> NDArray[np.float64]:
    """The largest block of rows, or of columns, of a scan [H,W] that were measured.

    Single missing pixels, at most one in fifty of a row, are lent their nearest neighbour's value.
    """
    rows, columns = (longest_run(scan.mask.mean(axis=axis) >= COMPLETE) for axis in (1, 0))
    data = fill_nearest(scan.data, scan.mask)
    return max(data[rows], data[:, columns], key=np.size)


def longest_run(flags: NDArray[np.bool_]) -> slice:
    """Where the longest run of True lies; the first of equals."""
    edges = np.flatnonzero(np.diff(np.pad(flags, 1).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return slice(0)
    longest = int(np.argmax(ends - starts))
    return slice(int(starts[longest]), int(ends[longest]))


def parted(
    files: list[ScanFile], held_out: float, window: int, seed: int
) -> dict[str, list[Image]]:
    """Images of each split: whole files, or of few files the upper and the lower rows.

    Args:
        files: The scans.
        held_out: Share that is held out.
        window: Patch size, px.
        seed: Decides which files are held out.

    Raises:
        ValueError: If no scan is high enough to be parted.
    """
    if len(files) >= FEWEST_FILES:
        order = torch.randperm(len(files), generator=generator(seed, "held-out files")).tolist()
        number = max(1, round(held_out * len(files)))
        # In the folder's order within a split; at least one file is left to train on.
        number = min(number, (len(files) - 1) // 2)
        shares = (order[2 * number :], order[:number], order[number : 2 * number])
        chosen = dict(zip(SPLITS, map(sorted, shares), strict=True))
        for split in ("validation", "test"):
            log.info("%s: %s", split, ", ".join(files[index].name for index in chosen[split]))
        return {
            split: [trace for index in numbers for trace in files[index].traces]
            for split, numbers in chosen.items()
        }
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


def cut_tiles(images: list[Image], tile: int | None, window: int) -> torch.Tensor:
    """Cuts images into tiles of one size, evenly spaced from edge to edge.

    Neighbours overlap by a patch less one pixel, so that a patch can lie anywhere, or by half a
    tile where the tiles are hardly larger than a patch.

    Args:
        images: [H,W] each, of any sizes of at least a patch.
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
