"""Training curves: loss against epoch (paper: Figure 11)."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from stm_experiments.figures.canvas import category, new_figure, wrapped

_LABEL_GAP = 0.055  # smallest distance of two reference labels, as a part of the axes' height


def training_curves(
    history: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    references: Mapping[str, float] | None = None,
    ylabel: str = "loss",
    others: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]] | None = None,
) -> Figure:
    """Draw every curve of a run on a logarithmic axis, with reference values (Figure 11).

    Args:
        history: Points (epoch, value) in order, by name of the curve ("train/loss", "val/loss").
            Values that are not finite (a diverged run) are left out.
        title: Name of the run.
        references: Values to compare with, by label, such as {"PCA-10": 0.032}; dashed lines.
        ylabel: Name of the values, with unit or range.
        others: Curves of other measures, each in axes of its own: name of the values, with unit, to
            curves as in ``history``.

    Returns:
        The figure. An axis is linear instead of logarithmic if a value is zero or negative.

    Raises:
        ValueError: If there is not a single finite point.
    """
    curves = _finite_curves(history)
    if not curves:
        raise ValueError("training_curves needs at least one finite (epoch, value) point")
    more = {label: _finite_curves(each) for label, each in (others or {}).items()}
    more = {label: each for label, each in more.items() if each}
    references = {name: value for name, value in (references or {}).items() if math.isfinite(value)}

    caption = "Of the loss, lower is better. A legend gives each curve's last value."
    if references:
        caption += " Dashed lines: reference values, which do not depend on this training."
    rows = math.ceil(len(more) / 2)
    figure = new_figure(10, 6 + 3 * rows, title, caption)
    grid = figure.add_gridspec(1 + rows, 2, height_ratios=[2] + [1] * rows)
    axes = figure.add_subplot(grid[0, :])
    _draw_curves(axes, curves, wrapped(ylabel, 50), list(references.values()))
    _draw_references(axes, references)
    for place, (label, each) in enumerate(more.items()):
        small = figure.add_subplot(grid[1 + place // 2, place % 2])
        _draw_curves(small, each, wrapped(label, 26))
    return figure


def _finite_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]],
) -> dict[str, np.ndarray]:
    """Return the curves that have a finite point, without the other points."""
    finite = {name: _finite(points) for name, points in curves.items()}
    return {name: points for name, points in finite.items() if len(points)}


def _draw_curves(
    axes: Axes, curves: Mapping[str, np.ndarray], ylabel: str, levels: Sequence[float] = ()
) -> None:
    """Draw curves, whose last values are in the legend.

    Args:
        axes: Where to draw.
        curves: Points [N, 2] by name.
        ylabel: Name of the values.
        levels: Values that the axis shall hold, too.
    """
    for index, (name, points) in enumerate(curves.items()):
        axes.plot(
            points[:, 0],
            points[:, 1],
            label=wrapped(f"{name}   (last {points[-1, 1]:.4g})", 40),
            color=category(index).colour,
            linewidth=1.8,
            # Without markers a run of one epoch would be an empty picture.
            marker=category(index).marker,
            markersize=7 if len(points) == 1 else 4,
            markevery=max(1, len(points) // 20),
        )
    epochs = np.concatenate([points[:, 0] for points in curves.values()])
    values = np.concatenate([points[:, 1] for points in curves.values()])
    _scale_y(axes, np.concatenate([values, levels]))
    if epochs.min() == epochs.max():
        axes.set_xlim(epochs.min() - 1, epochs.max() + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("epoch", fontsize=11)
    axes.set_ylabel(ylabel, fontsize=11)
    axes.grid(True, color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=10, frameon=True)


def _finite(points: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return the points whose epoch and value are finite, [N, 2]."""
    array = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    return array[np.isfinite(array).all(axis=1)]


def _scale_y(axes: Axes, values: np.ndarray) -> None:
    """Choose limits and ticks so that an axis of any range has labels in plain numbers."""
    low, high = float(values.min()), float(values.max())
    if low <= 0:
        margin = 0.08 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
        return
    axes.set_yscale("log")
    low, high = low / 1.3, high * 1.3
    axes.set_ylim(low, high)
    decades = math.log10(high / low)
    # Matplotlib labels only powers of ten; the range of a loss curve may not contain any.
    steps = [1.0] if decades > 3 else [1, 2, 5] if decades > 1.2 else [1, 1.5, 2, 3, 5, 7]
    if decades < 0.5:
        steps = [1, 1.2, 1.4, 1.6, 1.8, 2, 2.2, 2.5, 2.8, 3.1, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9]
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=50))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_references(axes: Axes, references: Mapping[str, float]) -> None:
    """Draw dashed lines with labels on the right, moved apart where they would overlap."""
    order = sorted(references, key=lambda name: references[name])
    to_axes = axes.transAxes.inverted()
    heights: list[float] = []
    for name in order:
        height = to_axes.transform(axes.transData.transform((0.0, references[name])))[1]
        heights.append(max(height, heights[-1] + _LABEL_GAP) if heights else height)
    for index in reversed(range(len(heights))):  # labels that are now above the axes: down again
        highest = heights[index + 1] - _LABEL_GAP if index + 1 < len(heights) else 1.0
        heights[index] = min(heights[index], highest)
    for name, height in zip(order, heights, strict=True):
        axes.axhline(references[name], color="0.35", linestyle="--", linewidth=1.2, zorder=1)
        axes.annotate(
            wrapped(f"{name}: {references[name]:.4g}", 60),
            xy=(1.0, references[name]),
            xycoords=axes.get_yaxis_transform(),
            xytext=(1.03, height),
            textcoords="axes fraction",
            verticalalignment="center",
            fontsize=9,
            color="0.2",
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.8, "relpos": (0, 0.5)},
        )
