"""Scores of networks over a test set: means over all patches, intervals by image, one table.

Every network is scored on the same patches, beside the untouched noisy input. The measures are
those of ``metrics.METRICS``.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import torch
from rich.table import Table
from rich.text import Text
from torch import Tensor

from stm_experiments.core.intervals import Interval, psnr_of_interval, ratio_and_interval
from stm_experiments.metrics.measures import METRICS, patch_measures
from stm_experiments.models.interfaces import Network

NOISY_INPUT = "noisy input"
DECIMALS = {"mse": 5, "psnr": 2, "ssim": 4}


class Patches(Protocol):
    """What scoring and encoding read of a batch."""

    @property
    def noisy(self) -> Tensor:
        """``[B,1,h,w]`` on [-1, 1]."""

    @property
    def clean(self) -> Tensor | None:
        """``[B,1,h,w]`` in the same geometry and scale, or None."""

    @property
    def lattice(self) -> Tensor:
        """``[B]`` int64, the index of the lattice type."""

    @property
    def orientation(self) -> Tensor:
        """``[B,3]``."""

    @property
    def image(self) -> Tensor:
        """``[B]`` int64, unique id of the source image."""


class Score(NamedTuple):
    """A mean over all patches and its 95 % interval by image.

    ``low`` and ``high`` are None where there is no interval: a single image tells nothing of how
    images differ.
    """

    mean: float
    low: float | None
    high: float | None

    @property
    def half(self) -> float | None:
        """Half the interval's width."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


Results = dict[str, dict[str, Score]]  # network -> measure -> score


class Scores:
    """Sums and counts per network, measure and image, in float64.

    The same patches in other batches give the same scores, to rounding.
    """

    def __init__(self) -> None:
        # network -> measure -> image -> (sum, count)
        self._sums: dict[str, dict[str, dict[int, tuple[float, int]]]] = {}
        self._lattice: dict[int, int] = {}  # of each image

    def add(
        self,
        network: str,
        output: Tensor,
        noisy: Tensor,
        clean: Tensor | None,
        lattice: Tensor,
        image: Tensor,
    ) -> None:
        """Add one network's reconstruction of one batch; all tensors on one device.

        Args:
            network: Its name.
            output: The reconstruction, ``[B,1,h,w]``.
            noisy: What it was given, ``[B,1,h,w]``.
            clean: The same without noise, or None.
            lattice: ``[B]`` int64, the same for all patches of an image.
            image: ``[B]`` int64, unique ids.

        Raises:
            ValueError: If the output has another shape than its input, or NaN or infinite pixels.
        """
        if output.shape != noisy.shape:
            raise ValueError(
                f"'{network}' made {list(output.shape)} of {list(noisy.shape)}: "
                "a reconstruction must have its input's shape."
            )
        broken = ~torch.isfinite(output).flatten(1).all(1)
        if broken.any():
            raise ValueError(
                f"'{network}' returned NaN or infinite pixels for {int(broken.sum())} of "
                f"{len(output)} patches (the first is of image {int(image[broken][0])}): "
                "it cannot be scored."
            )
        ids, inverse, counts = image.unique(return_inverse=True, return_counts=True)
        lattices = torch.empty_like(ids).scatter_(0, inverse, lattice)
        self._lattice.update(zip(ids.tolist(), lattices.tolist(), strict=True))
        measures = self._sums.setdefault(network, defaultdict(dict))
        for name, values in patch_measures(output, noisy, clean).items():
            sums = torch.zeros(len(ids), dtype=torch.float64, device=values.device)
            sums.index_add_(0, inverse, values.double())
            of_image = measures[name]
            for i, s, n in zip(ids.tolist(), sums.tolist(), counts.tolist(), strict=True):
                total, count = of_image.get(i, (0.0, 0))
                of_image[i] = (total + s, count + n)

    @property
    def lattices(self) -> list[int]:
        """The lattice types met, in ascending order."""
        return sorted(set(self._lattice.values()))

    def summary(self, lattice: int | None = None) -> Results:
        """Network -> measure -> score, over all images or those of one lattice type.

        A measure against the clean image covers the images that have one; a measure that no patch
        has is left out.
        """
        results: Results = {}
        for network, measures in self._sums.items():
            row = {}
            for name, of_image in measures.items():
                pairs = [
                    pair
                    for image, pair in of_image.items()
                    if lattice is None or self._lattice[image] == lattice
                ]
                if pairs:
                    row[name] = _mean_and_interval(pairs)
            if "mse_clean" in row:
                row["psnr_clean"] = _decibels(row["mse_clean"])
            results[network] = {name: row[name] for name in METRICS if name in row}
        return results


def _mean_and_interval(pairs: list[tuple[float, int]]) -> Score:
    """Score of (sum, count) pairs, one per image: the unit of the interval is the image."""
    return _as_score(ratio_and_interval([s for s, _ in pairs], [n for _, n in pairs]))


def _as_score(interval: Interval) -> Score:
    mean, half = interval
    return Score(mean, None, None) if half is None else Score(mean, mean - half, mean + half)


def _decibels(error: Score) -> Score:
    """PSNR of a mean squared error, data range 2; the interval to first order (delta method)."""
    return _as_score(psnr_of_interval(Interval(error.mean, error.half)))


def score(
    networks: Mapping[str, Network],
    batches: Iterable[Patches],
    device: torch.device | str = "cpu",
) -> tuple[Results, dict[int, Results]]:
    """Score networks on the same batches, in one pass over them.

    The networks are moved to the device and run in eval mode without gradients; the training flag
    of each of their modules is restored at the end, also after an error.

    Args:
        networks: Name to network, ``[B,1,h,w] -> [B,1,h,w]`` on [-1, 1].
        batches: Batches of held-out images, on any device.
        device: Where to compute; it must have float64.

    Returns:
        Network -> measure -> score over all patches, in the order given and with "noisy input" (the
        input as its own reconstruction) as last row; and the same for each lattice index alone.

    Raises:
        ValueError: If there are no patches, a network is named "noisy input", or a reconstruction
            is not finite or has another shape than its input.
    """
    if NOISY_INPUT in networks:
        raise ValueError(f"'{NOISY_INPUT}' names the untouched row and cannot name a network.")
    scores = Scores()
    flags = [(module, module.training) for net in networks.values() for module in net.modules()]
    try:
        for net in networks.values():
            net.to(device).eval()
        with torch.inference_mode():
            for batch in batches:
                noisy, image = batch.noisy.to(device), batch.image.to(device)
                clean = None if batch.clean is None else batch.clean.to(device)
                lattice = batch.lattice.to(device)
                for name, net in networks.items():
                    scores.add(name, net(noisy), noisy, clean, lattice, image)
                scores.add(NOISY_INPUT, noisy, noisy, clean, lattice, image)
    finally:
        for module, training in flags:
            module.training = training
    if not scores.lattices:
        raise ValueError("There are no patches to score.")
    return scores.summary(), {index: scores.summary(index) for index in scores.lattices}


def score_table(scores: Results, title: str = "") -> Table:
    """Networks as rows, measures as columns: mean and half the 95 % interval by image.

    The best mean of each column is bold. Against the noisy image the noisy input itself is perfect
    and does not compete.

    Args:
        scores: Network -> measure -> score.
        title: What was scored: the split and the lattice.
    """
    table = Table(title=title, caption="± half the 95 % interval by image")
    table.add_column("", no_wrap=True)
    metrics = [name for name in METRICS if any(name in row for row in scores.values())]
    best: dict[str, float] = {}
    for name in metrics:
        table.add_column(name.replace("_", " "), justify="right")
        means = [
            row[name].mean
            for network, row in scores.items()
            if name in row and (network != NOISY_INPUT or name.endswith("clean"))
        ]
        if means:
            best[name] = min(means) if name.startswith("mse") else max(means)
    for network, row in scores.items():
        cells = []
        for name in metrics:
            if name not in row:
                cells.append(Text("-"))
                continue
            digits = DECIMALS[name.split("_")[0]]
            mean, half = row[name].mean, row[name].half
            text = f"{mean:.{digits}f}" + ("" if half is None else f" ±{half:.{digits}f}")
            competes = network != NOISY_INPUT or name.endswith("clean")
            cells.append(Text(text, "bold" if competes and mean == best[name] else ""))
        table.add_row(Text(network), *cells)
    return table


def plain(scores: Results, split: str = "test", lattice: str = "") -> dict[str, float]:
    """Flat plain numbers for metrics.json.

    The first network is the run's own: ``test/mse_noisy``. The others, the noisy input among them,
    are its baselines: ``baselines/PCA-10/mse_noisy``. With a lattice name these are
    ``test/fcc/mse_noisy`` and ``baselines/PCA-10/fcc/mse_noisy``. Half the 95 % interval by image
    is beside each under ``..._ci95``. What does not exist has no key: an interval from a single
    image, the infinite PSNR of a perfect copy.

    Args:
        scores: Network -> measure -> score, the run's own network first.
        split: First part of the own network's keys.
        lattice: Name of the lattice type that the scores are of; empty for all.
    """
    numbers = {}
    for position, (network, row) in enumerate(scores.items()):
        head = split if position == 0 else f"baselines/{network}"
        for name, value in row.items():
            key = "/".join(part for part in (head, lattice, name) if part)
            for suffix, number in (("", value.mean), ("_ci95", value.half)):
                if number is not None and math.isfinite(number):
                    numbers[key + suffix] = number
    return numbers
