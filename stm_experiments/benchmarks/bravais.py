"""Measures how often the two-dimensional Bravais class of a picture is found.

    python -m stm_experiments.benchmarks.bravais --folder <folder> --part aside

The folder holds a folder of pictures for each class, named 0 hexagonal, 1 square, 2 rectangular,
3 centred rectangular, 4 oblique, such as the simulated STEM pictures of AtomVision (public domain).
That set files a material by the vectors of the cell that its database stores: two equal ones that
are neither at 60, 90 nor 120 degrees are under 3, unequal ones that are not at right angles under
4. So a centred lattice can be under 4 (second accuracy: cells are judged in this way), and a layer
whose glide plane makes the projection centred is under 2, which no picture can show. A white border
is cut off. White noise is added in standard deviations of the picture.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from stm_experiments.benchmarks.printing import wide_console
from stm_experiments.core.arrays import Array
from stm_experiments.core.seeds import seed_of
from stm_experiments.core.texts import printable
from stm_experiments.lattice.symmetry.bravais import BRAVAIS, Symmetry, find_symmetry
from stm_experiments.lattice.vectors import LatticeError

WHITE = 250  # grey level of a border
BORDER = 3  # px that are cut off beside a border
PARTS = ("all", "development", "aside")
UNEQUAL = 0.02  # difference of two vectors that is no distortion
RESAMPLES = 2000


class Case(NamedTuple):
    """A picture and what was found in it; None: no lattice."""

    path: Path
    label: int
    found: Symmetry | None

    @property
    def number(self) -> int:
        """Number of the class found; that of no class if no lattice was found."""
        return len(BRAVAIS) if self.found is None else BRAVAIS.index(self.found.bravais)

    @property
    def cell_number(self) -> int:
        """The same, but oblique for a centred cell whose reduced vectors are unequal."""
        if self.found is None or BRAVAIS[self.number] != "centred rectangular":
            return self.number
        lengths = np.linalg.norm(self.found.vectors, axis=1)
        return self.number if np.ptp(lengths) < UNEQUAL * lengths.max() else len(BRAVAIS) - 1


def find_pictures(folder: Path, part: str) -> list[tuple[Path, int]]:
    """Return pictures and their classes.

    Args:
        folder: With a folder for each class.
        part: ``aside``: every third picture of each class by name, beginning with the third;
            ``development``: the others; ``all``.

    Raises:
        ValueError: If there are none.
    """
    pictures = []
    for label in range(len(BRAVAIS)):
        paths = sorted(path for path in (folder / str(label)).glob("*") if path.is_file())
        for number, path in enumerate(paths):
            if part == "all" or (number % 3 == 2) == (part == "aside"):
                pictures.append((path, label))
    if not pictures:
        raise ValueError(f"{folder}: no pictures in folders 0 to {len(BRAVAIS) - 1}")
    return pictures


def read_picture(path: Path, noise: float = 0.0) -> Array:
    """Read a picture without its white border and add white noise.

    Args:
        path: Of the picture.
        noise: Standard deviation, in standard deviations of the picture.
    """
    with Image.open(path, formats=["JPEG", "PNG"]) as picture:
        data = np.asarray(picture.convert("L"), np.float64)
    inside = data < WHITE
    rows, columns = (np.flatnonzero(inside.mean(axis) > 0.3) for axis in (1, 0))
    cuts = [
        slice(line[0] + BORDER, line[-1] + 1 - BORDER) if len(line) < length else slice(None)
        for line, length in zip((rows, columns), data.shape, strict=True)
    ]
    data = data[cuts[0], cuts[1]]
    rng = np.random.default_rng(seed_of("bravais", path.name))
    return np.asarray(data + noise * data.std() * rng.standard_normal(data.shape))


def classify(path: Path, label: int, noise: float) -> Case:
    """Find the class of one picture."""
    try:
        return Case(path, label, find_symmetry(read_picture(path, noise)))
    except LatticeError:
        return Case(path, label, None)


def balanced_accuracy(labels: Sequence[int], found: Sequence[int]) -> float:
    """Return the mean over the classes of the share of their pictures that was found right."""
    right = np.array(labels) == np.array(found)
    return float(np.mean([right[np.array(labels) == label].mean() for label in set(labels)]))


def accuracy_interval(labels: Sequence[int], found: Sequence[int]) -> tuple[float, float]:
    """Return the 95 % interval of the balanced accuracy, from resampled pictures of each class."""
    right = np.array(labels) == np.array(found)
    rng = np.random.default_rng(0)
    recalls = []
    for label in set(labels):
        own = right[np.array(labels) == label]
        recalls.append(rng.choice(own, (RESAMPLES, len(own))).mean(1))
    low, high = np.percentile(np.mean(recalls, 0), [2.5, 97.5])
    return float(low), float(high)


def confusion_table(cases: list[Case], noise: float) -> Table:
    """Return the confusion matrix and the accuracies."""
    labels, found = [case.label for case in cases], [case.number for case in cases]
    low, high = accuracy_interval(labels, found)
    clear = [case for case in cases if case.found and case.found.confidence == "high"]
    right = sum(case.label == case.number for case in clear)
    cells = balanced_accuracy(labels, [case.cell_number for case in cases])
    table = Table(
        title=f"{len(cases)} pictures, noise of {noise:g} standard deviations: balanced accuracy "
        f"{balanced_accuracy(labels, found):.3f} [{low:.3f}, {high:.3f}]",
        caption=f"Accuracy {np.mean(np.equal(labels, found)):.3f}. High confidence: {len(clear)}, "
        f"of these {right} agree. Balanced accuracy by the vectors of the reduced cell: "
        f"{cells:.3f}. The interval resamples the pictures of each class.",
        box=SIMPLE_HEAD,
    )
    for heading in ("label", *(f"found {name}" for name in BRAVAIS), "none", "agree"):
        table.add_column(heading, justify="right")
    for label, name in enumerate(BRAVAIS):
        own = [number for number, of in zip(found, labels, strict=True) if of == label]
        counts = [own.count(number) for number in range(len(BRAVAIS) + 1)]
        share = f"{own.count(label) / len(own):.2f}" if own else "-"
        table.add_row(f"{label} {name}", *map(str, counts), share)
    return table


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="with a folder for each class")
    parser.add_argument("--part", choices=PARTS, default="all", help="of the pictures")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 1.0])
    options = parser.parse_args()
    console = wide_console(160)
    pictures = find_pictures(options.folder, options.part)
    for noise in options.noise:
        cases = [classify(path, label, noise) for path, label in pictures]
        console.print(confusion_table(cases, noise))
        for case in cases:
            if case.label != case.number:
                name = escape(printable(f"{case.path.parent.name}/{case.path.name}"))
                found = case.found
                about = (
                    f"{found.bravais}, {found.confidence} (next: {found.runner_up})"
                    if found
                    else "no lattice"
                )
                console.print(f"{name}: {about}", highlight=False)


if __name__ == "__main__":
    main()
