"""Scores of networks over a test set: means over all patches, with intervals by image.

Every network is scored on the same patches, and so is the untouched noisy input. The measures are
``measures.METRICS``.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from stm_experiments.core.batch import Batch
from stm_experiments.core.intervals import Interval, psnr_of_interval, ratio_and_interval
from stm_experiments.core.results.names import (
    FLOOR,
    INTERVAL,
    SPLITS,
    metric_name,
    read_name,
    split_of,
)
from stm_experiments.metrics.measures import METRICS, patch_measures
from stm_experiments.models.evaluating import evaluating
from stm_experiments.models.interfaces import Network

NOISY_INPUT = "noisy input"
_SUMMED = tuple(name for name in METRICS if name != "psnr_clean")

Scores = dict[str, dict[str, Interval]]  # network -> measure -> mean and interval


class SplitScores(NamedTuple):
    """Scores over all images of a split, and over those of each lattice alone.

    Attributes:
        overall: In the order of the networks; the noisy input is the last.
        by_lattice: The same by index of the lattice type, in ascending order.
    """

    overall: Scores
    by_lattice: dict[int, Scores]


class ImageSums(NamedTuple):
    """Sums and counts of the measures of one network, by image.

    Attributes:
        lattice: Index of the lattice type of each image, [I] int64.
        sums: Sum of each measure but psnr_clean over the patches of each image, [I, M] float64.
        counts: Number of patches in each sum, [I, M] int64.
    """

    lattice: Tensor
    sums: Tensor
    counts: Tensor


class ReconstructionScore(Metric):
    """Sums of the measures of one network by image, over batches and processes, in float64.

    The same patches in other batches give the same scores, to rounding. The patches of one image
    may be divided between processes.

    Args:
        network: Its name, for error messages.
        sync_on_compute: Whether ``compute`` gathers the sums of all processes.
    """

    full_state_update = False
    image: list[Tensor]
    lattice: list[Tensor]
    sums: list[Tensor]
    counts: list[Tensor]

    def __init__(self, network: str, *, sync_on_compute: bool = True) -> None:
        super().__init__(sync_on_compute=sync_on_compute)
        self.network = network
        for state in ("image", "lattice", "sums", "counts"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(
        self, output: Tensor, noisy: Tensor, clean: Tensor | None, lattice: Tensor, image: Tensor
    ) -> None:
        """Add the reconstruction of one batch; all tensors are on one device.

        Args:
            output: [B, 1, h, w].
            noisy: The input of the network, [B, 1, h, w].
            clean: The same without noise, [B, 1, h, w], or None.
            lattice: Index of the lattice type, the same for all patches of an image, [B] int64.
            image: Unique number of the source image, [B] int64.

        Raises:
            ValueError: If the output has another shape than its input, or NaN or infinite pixels.
        """
        self._check(output, noisy, image)
        images, inverse, counts = image.unique(return_inverse=True, return_counts=True)
        measures = patch_measures(output, noisy, clean)
        sums = torch.zeros(len(images), len(_SUMMED), dtype=torch.float64, device=image.device)
        for column, name in enumerate(_SUMMED):
            if name in measures:
                sums[:, column].index_add_(0, inverse, measures[name].double())
        is_measured = torch.tensor([name in measures for name in _SUMMED], device=image.device)
        self.image.append(images)
        self.lattice.append(torch.empty_like(images).scatter_(0, inverse, lattice))
        self.sums.append(sums)
        self.counts.append(counts[:, None] * is_measured)

    def _check(self, output: Tensor, noisy: Tensor, image: Tensor) -> None:
        """Refuse a reconstruction that cannot be scored.

        Raises:
            ValueError: If it has another shape than its input, or NaN or infinite pixels.
        """
        if output.shape != noisy.shape:
            raise ValueError(
                f"'{self.network}' made {list(output.shape)} of {list(noisy.shape)}: "
                "a reconstruction must have its input's shape."
            )
        broken = ~torch.isfinite(output).flatten(1).all(1)
        if broken.any():
            raise ValueError(
                f"'{self.network}' returned NaN or infinite pixels for {int(broken.sum())} of "
                f"{len(output)} patches (the first is of image {int(image[broken][0])}): "
                "it cannot be scored."
            )

    def compute(self) -> ImageSums:
        """Return the sums over all batches."""
        image, inverse = dim_zero_cat(self.image).unique(return_inverse=True)
        sums, counts = dim_zero_cat(self.sums), dim_zero_cat(self.counts)
        shape = len(image), len(_SUMMED)
        return ImageSums(
            torch.empty_like(image).scatter_(0, inverse, dim_zero_cat(self.lattice)),
            torch.zeros(shape, dtype=sums.dtype, device=sums.device).index_add_(0, inverse, sums),
            torch.zeros(shape, dtype=counts.dtype, device=sums.device).index_add_(
                0, inverse, counts
            ),
        )


def mean_measures(images: ImageSums, lattice: int | None = None) -> dict[str, Interval]:
    """Return the mean of each measure over all patches, and half its 95 % interval by image.

    Args:
        images: Of one network.
        lattice: Index of the lattice type whose images count; None: all images.

    Returns:
        In the order of METRICS. A measure with the clean image covers the images that have one; a
        measure that no patch has is left out.
    """
    means = {}
    for column, name in enumerate(_SUMMED):
        chosen = images.counts[:, column] > 0
        if lattice is not None:
            chosen &= images.lattice == lattice
        if chosen.any():
            means[name] = ratio_and_interval(
                images.sums[chosen, column].tolist(), images.counts[chosen, column].tolist()
            )
    if "mse_clean" in means:
        means["psnr_clean"] = psnr_of_interval(means["mse_clean"])
    return {name: means[name] for name in METRICS if name in means}


def score_networks(
    networks: Mapping[str, Network],
    batches: Iterable[Batch],
    device: torch.device | str = "cpu",
) -> SplitScores:
    """Score networks on the same batches, in one pass over them.

    The networks are moved to the device and run in evaluation mode without gradients; the training
    flag of each of their modules is restored at the end, also after an error.

    Args:
        networks: Name to network on [-1, 1].
        batches: Batches of held-out images, on any device.
        device: Where to compute; it must have float64.

    Raises:
        ValueError: If there are no patches, a network is named "noisy input", or a reconstruction
            is not finite or has another shape than its input.
    """
    if NOISY_INPUT in networks:
        raise ValueError(f"'{NOISY_INPUT}' names the untouched row and cannot name a network.")
    # Not gathered from other processes: of those that train together, only the first one scores.
    scores = {
        name: ReconstructionScore(name, sync_on_compute=False).to(device)
        for name in (*networks, NOISY_INPUT)
    }
    is_empty = True
    with evaluating(networks.values(), device):
        for batch in batches:
            noisy, image = batch.noisy.to(device), batch.image.to(device)
            clean = None if batch.clean is None else batch.clean.to(device)
            lattice = batch.lattice.to(device)
            for name, net in networks.items():
                scores[name].update(net(noisy), noisy, clean, lattice, image)
            scores[NOISY_INPUT].update(noisy, noisy, clean, lattice, image)
            is_empty = False
    if is_empty:
        raise ValueError("There are no patches to score.")
    images = {name: score.compute() for name, score in scores.items()}
    lattices = images[NOISY_INPUT].lattice.unique().tolist()
    return SplitScores(
        {name: mean_measures(sums) for name, sums in images.items()},
        {
            lattice: {name: mean_measures(sums, lattice) for name, sums in images.items()}
            for lattice in lattices
        },
    )


def flatten_scores(
    scores: Scores, split: str = "test", part: str = "", *, own: str = ""
) -> dict[str, float]:
    """Return scores as flat numbers for metrics.json, with the names of ``core.results.names``.

    There is no number for an interval of a single image, nor for the infinite PSNR of a perfect
    copy.

    Args:
        scores: Of the networks.
        split: Of the data.
        part: Name of the lattice type of the images; empty for all.
        own: The run's own network, whose name is left out.
    """
    numbers = {}
    for network, means in scores.items():
        for measure, interval in means.items():
            other = "" if network == own else network
            name = metric_name(measure, split, network=other, part=part)
            for suffix, number in (("", interval.mean), (INTERVAL, interval.half)):
                if number is not None and math.isfinite(number):
                    numbers[name + suffix] = number
    return numbers


def read_scores(numbers: Mapping[str, float], network: str) -> tuple[Scores, str]:
    """Return the scores over all images that ``flatten_scores`` made flat, and their split.

    Args:
        numbers: Content of metrics.json.
        network: Name of the run's own network.
    """
    split = split_of(numbers)
    scores: Scores = {}
    for text, mean in numbers.items():
        name = read_name(text)
        if name is None or name.part or name.network == FLOOR or name.measure not in METRICS:
            continue
        if name.split == SPLITS[split]:
            row = scores.setdefault(name.network or network, {})
            row[name.measure] = Interval(mean, numbers.get(text + INTERVAL))
    return scores, split
