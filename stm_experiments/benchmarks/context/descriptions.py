"""How well the description of a whole image tells its lattice, before anything is trained."""

from dataclasses import replace

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from stm_experiments.core.descriptions import DESCRIPTIONS
from stm_experiments.core.seeds import generator, seed_of
from stm_experiments.data.scaling import scale_minmax
from stm_experiments.latent.codes import Codes
from stm_experiments.latent.probes import few_images_accuracy, kmeans_ari, probe_accuracy
from stm_experiments.models.codes.context_code import TARGETS
from stm_experiments.simulator import CUT_LATTICES, NOISES, PRESETS, simulate

IMAGES = {"train": 200, "test": 100}  # of each lattice
COORDINATES = 10
SIZE = 257  # px
CHUNK = 50  # images that are simulated together


def described(split: str, *, alike: bool) -> tuple[dict[str, Tensor], Tensor]:
    """Simulate images and describe them.

    Args:
        split: A key of ``IMAGES``.
        alike: Whether each image's spread is 9 to 19 px, or that of its lattice.

    Returns:
        The descriptions by name, [N, K] each, and the labels, [N].
    """
    lattices = list(CUT_LATTICES.values())
    parts: dict[str, list[Tensor]] = {name: [] for name in DESCRIPTIONS}
    count = IMAGES[split] * len(lattices)
    for first in range(0, count, CHUNK):
        numbers = range(first, min(first + CHUNK, count))
        chosen = [lattices[number % len(lattices)] for number in numbers]
        if alike:
            spreads = [
                int(torch.randint(9, 20, (1,), generator=generator("spread", split, number)))
                for number in numbers
            ]
            chosen = [replace(each, spread=px) for each, px in zip(chosen, spreads, strict=True)]
        seeds = [seed_of("descriptions", split, number) for number in numbers]
        images = scale_minmax(
            simulate(chosen, seeds, NOISES["paper"], PRESETS["physical"], SIZE, 1)
        ).noisy
        for name, description in DESCRIPTIONS.items():
            parts[name].append(description.describe(images))
    labels = torch.arange(count) % len(lattices)
    return {name: torch.cat(rows) for name, rows in parts.items()}, labels


def probe(known: Tensor, label: Tensor, asked: Tensor, truth: Tensor) -> float:
    """Return the balanced accuracy of a linear probe of known rows on others."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    model.fit(known.numpy(), label.numpy())
    return float(balanced_accuracy_score(truth.numpy(), model.predict(asked.numpy())))


def as_codes(points: Tensor, labels: Tensor) -> Codes:
    """Return whole images' numbers [N, D] as codes, one row for each image."""
    return Codes(points, labels, torch.arange(len(points)), torch.zeros(len(points), 3))


def print_descriptions() -> None:
    """Print what whole images' descriptions, and their maps, tell of the lattice type."""
    title = "Whole images of five lattices (chance .2)"
    maps = ("all numbers", *(f"{COORDINATES} {name}" for name in TARGETS))
    table = Table("description", "spreads", *maps, title=title, box=box.SIMPLE)
    for alike in (False, True):
        (known, label), (asked, truth) = (described(split, alike=alike) for split in IMAGES)
        for name in DESCRIPTIONS:
            cells = [f"{probe(known[name], label, asked[name], truth):.3f}"]
            for kind in TARGETS.values():
                targets = kind(known[name].shape[1], COORDINATES)
                targets.fit(known[name])
                codes = as_codes(targets(asked[name]), truth)
                told = (probe_accuracy(codes), few_images_accuracy(codes), kmeans_ari(codes))
                cells.append(" / ".join(f"{value:.3f}" for value in told))
            table.add_row(name, "9-19 px" if alike else "of the lattice", *cells)
    console = Console(width=120)
    console.print(table)
    console.print("all numbers: linear probe; maps: linear probe / labels of three images / ARI")
