"""Trained on compared with tested on: the errors of models on lattices that they never saw."""

from collections.abc import Mapping
from pathlib import Path

from stm_experiments.core.files import write_csv
from stm_experiments.core.texts import spreadsheet_text
from stm_experiments.metrics.scores import Scores

ErrorMatrix = dict[str, dict[str, float]]  # model -> lattice it is tested on -> mse_noisy


def error_matrix(by_lattice: Mapping[str, Scores]) -> ErrorMatrix:
    """Return the error of each model compared with the noisy images of each lattice.

    Args:
        by_lattice: Scores by name of the lattice.
    """
    models = next(iter(by_lattice.values()))
    return {
        model: {name: scores[model]["mse_noisy"].mean for name, scores in by_lattice.items()}
        for model in models
        if "mse_noisy" in models[model]
    }


def write_matrix(matrix: ErrorMatrix, path: Path) -> None:
    """Write the matrix as CSV: a line per model, a column per lattice."""
    columns = ["model", *map(spreadsheet_text, next(iter(matrix.values())))]
    rows = [[spreadsheet_text(model), *row.values()] for model, row in matrix.items()]
    write_csv(path, columns, rows)
