"""Loss curves of many runs: training above validation, a column per lattice (paper: Figure 11)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from stm_experiments.figures.canvas import CATEGORY_COLOURS, new_figure, wrapped

Curve = Sequence[tuple[float, float]]  # (epoch, loss)
ROWS = {"train/loss": "training loss", "val/loss": "validation loss"}
STYLES = ("-", "--", "-.", ":")


def loss_panels(
    curves: Mapping[str, Mapping[str, Mapping[str, Curve]]], title: str, caption: str = ""
) -> Figure:
    """Draws two rows of panels that share their axes, one column per lattice (Figure 11).

    Args:
        curves: Points (epoch, loss) by lattice, configuration and curve ("train/loss", "val/loss").
            A configuration has one colour and line style in all panels. Losses that are not
            positive and finite are left out.
        title: Title above the panels.
        caption: Text below them.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no point at all.
    """
    names = list(dict.fromkeys(name for column in curves.values() for name in column))
    figure = new_figure(max(7, 4 * len(curves)), 7.5, title, caption)
    panels = figure.subplots(2, max(len(curves), 1), sharex=True, sharey=True, squeeze=False)
    losses: list[float] = []
    for column, (lattice, runs) in enumerate(curves.items()):
        for row, key in enumerate(ROWS):
            axes = panels[row, column]
            for name, run_curves in runs.items():
                points = np.array(run_curves.get(key, []), dtype=np.float64).reshape(-1, 2)
                points = points[np.isfinite(points).all(axis=1) & (points[:, 1] > 0)]
                losses.extend(points[:, 1])
                axes.plot(
                    *points.T,
                    **curve_style(names.index(name)),
                    markevery=[-1] if len(points) else None,
                )
            axes.grid(True, which="both", color="0.92")
            axes.spines[["top", "right"]].set_visible(False)
            if row == 0:
                axes.set_title(lattice, fontsize=11)
    if not losses:
        raise ValueError("loss_panels needs at least one positive, finite loss")
    for row, label in enumerate(ROWS.values()):
        panels[row, 0].set_ylabel(label, fontsize=11)
    for axes in panels[1]:
        axes.set_xlabel("epoch", fontsize=11)
    _scale(panels[0, 0], min(losses), max(losses))
    handles = [Line2D([], [], label=wrapped(n, 40), **curve_style(i)) for i, n in enumerate(names)]
    figure.legend(handles=handles, loc="outside right center", fontsize=9, frameon=False)
    return figure


def curve_style(index: int) -> dict[str, Any]:
    """Return the colour, line and marker of a curve; 28 curves differ in colour or line."""
    return {
        "color": CATEGORY_COLOURS[index % len(CATEGORY_COLOURS)],
        "linestyle": STYLES[(index + 2 * (index // len(CATEGORY_COLOURS))) % len(STYLES)],
        "linewidth": 1.6,
        "marker": "os^DvPX"[index % 7],
        "markersize": 4.5,
    }


def _scale(axes: Axes, low: float, high: float) -> None:
    """Give the axis that the panels share a logarithmic scale with plain numbers."""
    axes.set_yscale("log")
    axes.set_ylim(low / 1.1, high * 1.1)
    steps = [1, 2, 5] if high / low > 8 else [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8]
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=50))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
