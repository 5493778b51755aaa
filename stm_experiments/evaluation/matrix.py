"""Trained on against tested on: how each model does on lattices that it never saw."""

import csv
from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.table import Table

from stm_experiments.metrics.scores import Results, plain

Matrix = dict[str, dict[str, float]]


def error_matrix(by_lattice: Mapping[str, Results]) -> Matrix:
    """Error against the noisy images: model -> lattice it is tested on -> ``mse_noisy``."""
    models = next(iter(by_lattice.values()))
    return {
        model: {name: scores[model]["mse_noisy"].mean for name, scores in by_lattice.items()}
        for model in models
        if "mse_noisy" in models[model]
    }


def matrix_table(matrix: Matrix) -> Table:
    """The matrix for a terminal; the best model of each lattice is bold."""
    table = Table(title="mse noisy, trained on (row) and tested on (column)", box=box.SIMPLE)
    table.add_column("", overflow="fold")
    lattices = list(next(iter(matrix.values())))
    for lattice in lattices:
        table.add_column(lattice, justify="right", no_wrap=True)
    best = {name: min(row[name] for row in matrix.values() if row[name] > 0) for name in lattices}
    for model, row in matrix.items():
        cells = [
            f"[bold]{error:.5f}[/bold]" if error == best[name] else f"{error:.5f}"
            for name, error in row.items()
        ]
        table.add_row(model, *cells)
    return table


def write_matrix(matrix: Matrix, path: Path) -> None:
    """Writes the matrix as CSV: a line per model, a column per lattice."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["model", *next(iter(matrix.values()))])
        writer.writerows([model, *row.values()] for model, row in matrix.items())


def all_numbers(
    scores: Results, by_lattice: Mapping[int, Results], names: list[str], split: str
) -> dict[str, float]:
    """Everything that metrics.json says of some images: over all, and of each lattice.

    Args:
        scores: Scores over all images, the own network first.
        by_lattice: The same by label of the lattice.
        names: Names of the lattices, by label.
        split: The images' split.

    Returns:
        Numbers by key, as ``plain`` names them; per lattice only where there are several.
    """
    numbers = plain(scores, split)
    if len(by_lattice) > 1:
        for label, of_lattice in by_lattice.items():
            numbers |= plain(of_lattice, split, names[label])
    return numbers
