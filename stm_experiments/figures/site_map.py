"""Lattice sites painted on their image: their classes, and the strangest of them (poster)."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stm_experiments.figures.canvas import (
    CATEGORY_COLOURS,
    RESIDUAL_COLOURS,
    TOPOGRAPH_COLOURS,
    Array,
    as_patches,
    draw_image,
    height_limits,
    new_figure,
)

_MARK = "#00E5FF"  # a colour that the topographs' map does not contain


def site_map(
    image: Array,
    position: Array,
    labels: NDArray[np.int64],
    worst: NDArray[np.int64],
    title: str,
) -> Figure:
    """An image beside itself with its sites' classes, and with the strangest sites numbered.

    Args:
        image: [H,W].
        position: Rows and columns of the sites, px, [S,2].
        labels: Class of each, from 0 on, [S].
        worst: The strangest sites, the first the strangest.
        title: Of the picture.
    """
    caption = (
        "Left: every site in the colour of its class, which nobody named. Right: circles around "
        "the strangest sites, 1 the strangest of the image."
    )
    figure = new_figure(11, 6.2, title, caption, packed=True)
    left, right = figure.subplots(1, 2)
    limits = height_limits([image], clip_percent=0.5)
    heading = f"{len(labels)} sites, in as many classes as there are colours"
    draw_image(left, image, limits, heading, "gray")
    for label in range(labels.max() + 1):
        row, column = position[labels == label].T
        colour = CATEGORY_COLOURS[label % len(CATEGORY_COLOURS)]
        left.scatter(column, row, s=14, color=colour, edgecolors="none", label=str(label + 1))
    left.legend(loc="upper right", fontsize=8, framealpha=0.8)
    draw_image(right, image, limits, f"the {len(worst)} strangest sites", "gray")
    _number(right, position[worst])
    return figure


def _number(axes: Axes, position: Array) -> None:
    """Circles with numbers around sites, [S,2] px."""
    row, column = position.T
    axes.scatter(column, row, s=110, facecolors="none", edgecolors=_MARK, linewidths=1.2)
    for number, (r, c) in enumerate(position, start=1):
        axes.annotate(
            str(number), (c, r), (5, 5), textcoords="offset points", color=_MARK, fontsize=8
        )


def worst_sites(
    patches: Array, made: Array, names: list[str], scores: Array, title: str, columns: int = 8
) -> Figure:
    """The strangest patches above their reconstructions and what is left.

    Args:
        patches: The strangest first, [P,w,w] or [P,1,w,w].
        made: Their reconstructions.
        names: A line or two about each.
        scores: How strange each is, nats.
        title: Of the picture.
        columns: Patches in a row.

    Raises:
        ValueError: If there are none.
    """
    shown, drawn = as_patches(patches), as_patches(made)
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    caption = (
        "Each patch, its reconstruction and the difference. A reconstruction knows only what "
        "sites usually look like. Above: rank and score in nats (the median site has 0), place."
    )
    side = 11 / columns
    figure = new_figure(11, rows * 3.4 * side + 1.4, title, caption, packed=True)
    grid = figure.subplots(3 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    low, high = height_limits([shown, drawn], clip_percent=0.1)
    for index, (patch, copy) in enumerate(zip(shown, drawn, strict=True)):
        row, column = 3 * (index // columns), index % columns
        head = f"{index + 1}: {scores[index]:.0f}\n{names[index]}"
        draw_image(grid[row, column], patch, (low, high), head, TOPOGRAPH_COLOURS)
        grid[row, column].title.set_fontsize(7.5)
        draw_image(grid[row + 1, column], copy, (low, high), "", TOPOGRAPH_COLOURS)
        most = max(abs(low), abs(high))
        draw_image(grid[row + 2, column], patch - copy, (-most, most), "", RESIDUAL_COLOURS)
    return figure
