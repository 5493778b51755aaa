"""The sites of a lattice on their image: their classes, and the most anomalous (poster)."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    MARK_COLOUR,
    category,
    draw_image,
    height_limits,
    new_figure,
    set_scale,
)


def site_map(
    image: Array,
    positions: Array,
    labels: NDArray[np.int64],
    anomalies: NDArray[np.int64],
    title: str,
    pixel_nm: tuple[float, float] | None = None,
) -> Figure:
    """Draw an image with the classes of its sites, and again with its most anomalous sites.

    Args:
        image: [H, W].
        positions: (row, column) of the sites in px, [S, 2].
        labels: Class of each site, from 0 on, [S].
        anomalies: Indices of the anomalous sites, the most anomalous first, [A].
        title: Title of the picture.
        pixel_nm: nm per px along axes 0 and 1; None: unknown.
    """
    caption = (
        "Left: every site in the colour and shape of its class; the classes were found without "
        "labels. Right: circles around the most anomalous sites; 1 is the most anomalous."
    )
    figure = new_figure(11, 6.2, title, caption, packed=True)
    left, right = figure.subplots(1, 2)
    limits = height_limits([image], clip_percent=0.5)
    n_classes = labels.max() + 1
    classes = "1 class" if n_classes == 1 else f"{n_classes} classes"
    draw_image(left, image, limits, f"{len(labels)} sites in {classes}", "gray")
    for label in range(n_classes):
        row, column = positions[labels == label].T
        colour, marker = category(label)
        name = f"{label + 1} ({len(row)})"
        left.scatter(
            column,
            row,
            s=30,
            color=colour,
            marker=marker,
            edgecolors="white",
            linewidths=0.4,
            label=name,
        )
    left.legend(
        title="class (sites)",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.02),
        ncols=min(n_classes, 7),
        fontsize=8,
        title_fontsize=8,
        columnspacing=1.0,
        handletextpad=0.1,
        frameon=False,
    )
    draw_image(right, image, limits, f"the {len(anomalies)} most anomalous sites", "gray")
    _circle(right, positions[anomalies])
    for axes in (left, right):
        set_scale(axes, image.shape[1], pixel_nm)
    return figure


def _circle(axes: Axes, positions: Array) -> None:
    """Draw numbered circles around sites, (row, column) in px, [S, 2]."""
    rows, columns = positions.T
    axes.scatter(columns, rows, s=110, facecolors="none", edgecolors=MARK_COLOUR, linewidths=1.2)
    width, height = np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())
    for number, (row, column) in enumerate(positions, start=1):
        # Inside of the image: to the lower left of sites near the upper or the right edge.
        is_at_edge = row < 0.05 * height or column > 0.95 * width
        axes.annotate(
            str(number),
            (column, row),
            (-5, -5) if is_at_edge else (5, 5),
            textcoords="offset points",
            ha="right" if is_at_edge else "left",
            va="top" if is_at_edge else "bottom",
            color=MARK_COLOUR,
            fontsize=9,
            path_effects=[withStroke(linewidth=2, foreground="black")],
        )
