"""The latent space: principal components of the codes (paper: Figure 12)."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from mpl_toolkits.mplot3d import Axes3D

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    CATEGORY_COLOURS,
    ArrayOrTensor,
    as_array,
    category,
    new_figure,
    wrapped,
)
from stm_experiments.latent.components import principal_components

_LAYERS = 8  # of points of all classes


class Colouring(NamedTuple):
    """The colours of points.

    Attributes:
        values: [N] class numbers (with `class_names`) or values.
        class_names: Name of class 0, 1, ...; None: the values are continuous.
        colour_map: Colour map of continuous values.
    """

    values: Array
    class_names: Sequence[str] | None
    colour_map: str = "viridis"


def latent_pca(
    codes: ArrayOrTensor,
    colour: ArrayOrTensor,
    colour_name: str,
    class_names: Sequence[str] | None,
    *,
    title: str = "Principal components of the latent codes",
    most: int = 3000,
    colour_map: str = "viridis",
) -> Figure:
    """Draw the codes on their first three principal components (Figure 12).

    With two or one latent dimensions there are fewer panels.

    Args:
        codes: [N, D] latent codes, N >= 2. The components are those of all codes.
        colour: [N] class numbers (with `class_names`) or values.
        colour_name: What the colour means, with unit.
        class_names: Name of class 0, 1, ...; None: `colour` is continuous.
        title: Title of the picture.
        most: Number of points, at most; a fixed random choice if there are more codes.
        colour_map: Map of a continuous colour; "twilight" suits angles.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, or a class has no name.
    """
    points = as_array(codes)
    values = as_array(colour)
    check_classes(points, values, class_names)
    components = principal_components(torch.from_numpy(points))
    explained = components.explained.numpy()
    # Shuffled too, so that the class drawn last does not cover the others.
    chosen = np.random.default_rng(0).permutation(len(points))[:most]
    projected = components.points.numpy()[chosen]
    colouring = Colouring(values[chosen], class_names, colour_map)
    sign = "colours change gradually" if class_names is None else "equal colours stand together"
    conclusion = f"If {sign}, the code contains the {colour_name}."
    caption = _caption(explained, len(points), len(chosen), conclusion)
    figure = new_figure(12, 8.2, title, caption)
    axis_names = [f"PC {i + 1} ({part:.1%})" for i, part in enumerate(explained)]
    draw = _draw_space if points.shape[1] >= 3 else _draw_plane
    artist = draw(figure, projected, axis_names, colouring)
    _draw_variance(figure.axes[-1], explained)
    if class_names is None:
        bar = figure.colorbar(artist, ax=figure.axes[0], location="left", shrink=0.7)
        bar.set_label(wrapped(colour_name, 40))
    else:
        _add_legend(figure.axes[0], colouring.values, class_names, colour_name)
    return figure


def _draw_space(
    figure: Figure, points: Array, names: Sequence[str], colouring: Colouring
) -> PathCollection:
    """Draw points [N, D] in space and on three planes; the last axes are added empty."""
    grid = figure.add_gridspec(3, 3, height_ratios=[1, 1, 1.15])
    space = figure.add_subplot(grid[:2, :2], projection="3d")
    artist = scatter(space, points[:, :3], names[:3], colouring)
    # Ticks of a turned cube overlap; the flat panels have them.
    space.set(xticklabels=[], yticklabels=[], zticklabels=[])
    space.set_box_aspect(None, zoom=1.2)
    for column, pair in enumerate(((0, 1), (0, 2), (1, 2))):
        panel = figure.add_subplot(grid[2, column])
        scatter(panel, points[:, pair], [names[i] for i in pair], colouring)
    figure.add_subplot(grid[:2, 2])
    return artist


def _draw_plane(
    figure: Figure, points: Array, names: Sequence[str], colouring: Colouring
) -> PathCollection:
    """Draw points [N, 2] or [N, 1] in one panel; the last axes are added empty."""
    if points.shape[1] == 1:  # the points are spread over the height, or they would overlap
        order = np.arange(len(points), dtype=np.float64)
        points = np.column_stack([points[:, 0], order])
        names = [names[0], "patch (in any order)"]
    grid = figure.add_gridspec(1, 2, width_ratios=[2, 1])
    artist = scatter(figure.add_subplot(grid[0]), points, names, colouring)
    figure.add_subplot(grid[1])
    return artist


def _caption(explained: Array, n_codes: int, n_points: int, conclusion: str) -> str:
    """Return the text below the picture."""
    if not explained.any():
        return "All codes are equal: the latent space has collapsed."
    choice = "" if n_points == n_codes else f" ({n_points:,} of {n_codes:,} shown)"
    return (
        f"The network's {len(explained)}-dimensional codes, turned so that axis PC 1 has the "
        f"largest variance, PC 2 the next; a point is one patch{choice}. Percentages: part of the "
        f"total variance. {conclusion}"
    )


def check_classes(points: Array, values: Array, class_names: Sequence[str] | None) -> None:
    """Refuse codes [N, D] and classes or values [N] that do not fit.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, or a class has no name.
    """
    if points.ndim != 2 or len(points) < 2 or values.shape != points.shape[:1]:
        raise ValueError(f"codes {list(points.shape)} and colours {list(values.shape)} do not fit")
    if not np.isfinite(points).all():
        raise ValueError("the codes hold values that are not finite")
    if class_names is not None and not np.isin(values, np.arange(len(class_names))).all():
        raise ValueError(f"a class number is not one of 0 .. {len(class_names) - 1}")


def scatter(
    axes: Axes,
    points: Array,
    names: Sequence[str],
    colouring: Colouring,
) -> PathCollection:
    """Draw points [N, 2] or, on 3-D axes, [N, 3]; return an artist for the colour bar.

    Args:
        axes: Where to draw.
        points: Coordinates.
        names: Name of each axis.
        colouring: Colours of the points.
    """
    columns = list(points.T)
    draw: Callable[..., PathCollection] = axes.scatter  # typed without a third coordinate
    size = float(np.clip(9000 / len(points), 5, 30))  # an area that suits 100 and 3000 points
    if isinstance(axes, Axes3D):
        axes.set_xlabel(names[0], fontsize=9, labelpad=-8)
        axes.set_ylabel(names[1], fontsize=9, labelpad=-8)
        axes.set_zlabel(names[2], fontsize=9, labelpad=-8)
    else:
        axes.set_xlabel(names[0], fontsize=9)
        axes.set_ylabel(names[1], fontsize=9)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    if colouring.class_names is None:
        ends = {"vmin": colouring.values.min(), "vmax": colouring.values.max()}
        style = {"c": colouring.values, "cmap": colouring.colour_map, **ends}
        return draw(*columns, **style, s=size, alpha=0.7, linewidths=0)
    values = colouring.values
    # In layers, so that the class drawn last does not cover the others.
    layers = np.arange(len(values)) % _LAYERS
    for layer, label in itertools.product(range(_LAYERS), np.unique(values).astype(int)):
        inside = (values == label) & (layers == layer)
        if not inside.any():
            continue
        colour, marker = category(label)
        artist = draw(
            *(column[inside] for column in columns),
            color=colour,
            marker=marker,
            s=size,
            alpha=0.7,
            linewidths=0,
        )
    return artist


def legend_handles(values: Array, names: Sequence[str]) -> list[Line2D]:
    """Return an entry for each class that occurs, with its number of points."""
    return [
        Line2D(
            [],
            [],
            linestyle="",
            markersize=7,
            marker=category(index).marker,
            color=category(index).colour,
            label=wrapped(f"{name}  ({np.sum(values == index):,})", 24),
        )
        for index, name in enumerate(names)
        if np.any(values == index)
    ]


def _add_legend(axes: Axes, values: Array, names: Sequence[str], title: str) -> None:
    """Add a legend of the classes that occur, with their numbers of points, above the axes."""
    handles = legend_handles(values, names)
    axes.legend(
        handles=handles,
        title=wrapped(title, 60),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        alignment="left",
        ncols=min(4, len(handles)),
        fontsize=9,
        title_fontsize=10,
        frameon=False,
    )


def _draw_variance(axes: Axes, explained: Array) -> None:
    """Draw a bar per component, its part of the variance, and a line of their cumulative sum."""
    numbers = np.arange(1, len(explained) + 1)
    axes.bar(numbers, explained, color=CATEGORY_COLOURS[0])
    axes.plot(numbers, np.cumsum(explained), color="0.3", marker=".")
    axes.set_ylim(0, 1.05)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("principal component", fontsize=9)
    axes.set_ylabel("part of the total variance", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_title(
        f"Variance, D = {len(explained)}\nbars: each component, line: cumulative", fontsize=10
    )
    axes.spines[["top", "right"]].set_visible(False)
