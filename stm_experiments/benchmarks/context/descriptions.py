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
from stm_experiments.models.codes.whitening import Whitening
from stm_experiments.simulator import CUT_LATTICES, NOISES, PRESETS, simulate

IMAGES = {"train": 200, "test": 100}  # of each lattice
COMPONENTS = 10
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


def print_descriptions() -> None:
    """Print the accuracy of the lattice type from whole images."""
    title = "Linear probe of the description of a whole image (five lattices, chance .2)"
    table = Table(
        *("description", "spreads", "numbers", "all numbers", f"{COMPONENTS} components"),
        title=title,
        box=box.SIMPLE,
    )
    for alike in (False, True):
        (known, label), (asked, truth) = (described(split, alike=alike) for split in IMAGES)
        for name in DESCRIPTIONS:
            whitening = Whitening(known[name].shape[1], COMPONENTS)
            whitening.fit(known[name])
            everything = probe(known[name], label, asked[name], truth)
            components = probe(whitening(known[name]), label, whitening(asked[name]), truth)
            spreads = "9-19 px" if alike else "of the lattice"
            numbers = str(known[name].shape[1])
            table.add_row(name, spreads, numbers, f"{everything:.3f}", f"{components:.3f}")
    Console(width=120).print(table)
