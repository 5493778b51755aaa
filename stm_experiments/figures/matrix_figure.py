"""A table of errors in colours: what networks were trained on and what they were tested on."""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from stm_experiments.figures.canvas import new_figure, wrapped

CAPTION = (
    "Mean squared error per pixel between reconstruction and noisy patch, grey values on [-1, 1]"
)


def matrix_figure(
    matrix: Mapping[str, Mapping[str, float]], title: str, caption: str = CAPTION
) -> Figure:
    """Draw errors as a coloured table, a row per model and a column per lattice.

    Args:
        matrix: Mean squared errors, by model and by the lattice on which it is tested. Rows with an
            error of zero, such as the noisy input compared with itself, are left out.
        title: Title of the picture.
        caption: What the numbers are, without a full stop.

    Returns:
        The figure; colours are logarithmic, and each cell shows its number.

    Raises:
        ValueError: If no error is above zero.
    """
    rows = {model: row for model, row in matrix.items() if min(row.values()) > 0}
    if not rows:
        raise ValueError("matrix_figure needs at least one model with errors above zero")
    columns = list(next(iter(rows.values())))
    errors = np.array([list(row.values()) for row in rows.values()])
    caption = f"{caption}: lower is better, and lighter. Bold: the best on that lattice."
    figure = new_figure(max(6.0, 4 + 1.1 * len(columns)), 2.4 + 0.5 * len(rows), title, caption)
    axes = figure.subplots()
    scale = LogNorm(errors.min(), errors.max() * (1 + 1e-9))
    axes.imshow(errors, cmap="viridis_r", norm=scale, aspect="auto")
    for (row, column), error in np.ndenumerate(errors):
        dark = scale(error) > 0.6
        axes.text(
            column,
            row,
            f"{error:.4f}",
            ha="center",
            va="center",
            color="white" if dark else "black",
            weight="bold" if error == errors[:, column].min() else "normal",
        )
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), [wrapped(model, 34) for model in rows])
    axes.set_xlabel("tested on", fontsize=11)
    axes.set_ylabel("trained on", fontsize=11)
    axes.tick_params(length=0)
    return figure
