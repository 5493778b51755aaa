"""Patches, and where they were cut from a topograph (paper: Figure 10)."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    HEIGHT_LABEL,
    MARK_COLOUR,
    ArrayOrTensor,
    Limits,
    add_scale_bar,
    as_array,
    as_image,
    as_patches,
    draw_image,
    height_limits,
    new_figure,
)


def patch_montage(
    noisy: ArrayOrTensor,
    clean: ArrayOrTensor | None,
    positions: ArrayOrTensor,
    window: int,
    patches: ArrayOrTensor,
    *,
    title: str = "Patches cut from a topograph",
    most: int = 25,
) -> Figure:
    """Draw a topograph, the places where patches were cut from it, and the patches (Figure 10).

    Args:
        noisy: [H, W], the topograph with noise.
        clean: [H, W], the same without noise, or None.
        positions: [P, 2], (row, column) of each patch's top left px.
        window: Height and width of a patch in px.
        patches: [P, h, w] or [P, 1, h, w].
        title: Title of the picture.
        most: Number of patches to show, at most: the first ones that do not overlap.

    Raises:
        ValueError: If shapes do not fit each other or a patch lies outside the image.
    """
    image = as_image(noisy)
    cuts, corners = as_patches(patches), as_array(positions)
    _check_patches(cuts, corners, window, image)
    images = {"noisy": image} if clean is None else {"clean": as_image(clean), "noisy": image}
    if any(array.shape != image.shape for array in images.values()):
        raise ValueError("the clean and the noisy image differ in size")
    total, shown = len(cuts), apart(corners, 1.3 * window)[:most]
    cuts, corners = cuts[shown], corners[shown]

    caption = f"Outlined: patches of {window} x {window} px, numbered as on the right."
    if total > len(cuts):
        caption += f" {len(cuts)} of {total} patches are shown, none of which overlap."
    figure = new_figure(12, 5.2 if clean is not None else 6.4, title, caption)
    ratios = [2.0 if clean is not None else 1.1, 1.0]
    parts = figure.subfigures(1, 2, squeeze=False, width_ratios=ratios, wspace=0.03)[0]
    limits = height_limits([*images.values(), cuts])
    panels = parts[0].subplots(1, len(images), squeeze=False)[0]
    for axes, (name, array) in zip(panels, images.items(), strict=True):
        artist = draw_image(axes, array, limits, name)
        add_scale_bar(axes, array.shape[1], 1.0, "px")
        _outline(axes, corners, window)
    bar = parts[0].colorbar(artist, ax=panels, location="bottom", shrink=0.6, aspect=40)
    bar.set_label(HEIGHT_LABEL)
    _draw_patches(parts[1], cuts, limits)
    return figure


def apart(corners: Array, distance: float) -> list[int]:
    """Return the first places that keep this distance, px, along one of the axes, [P, 2]."""
    chosen: list[int] = []
    for number, corner in enumerate(corners):
        if (np.abs(corners[chosen] - corner).max(1) >= distance).all():
            chosen.append(number)
    return chosen


def _check_patches(patches: Array, corners: Array, window: int, image: Array) -> None:
    """Refuse patches that do not fit their positions, window or image.

    Raises:
        ValueError: If they do not.
    """
    if corners.shape != (len(patches), 2) or patches.shape[1:] != (window, window):
        raise ValueError(
            f"positions {list(corners.shape)} and patches {list(patches.shape)} do not fit "
            f"each other and a window of {window} px"
        )
    if corners.min() < 0 or (corners + window > image.shape).any():
        raise ValueError(
            f"a patch lies outside the image of {image.shape[0]} x {image.shape[1]} px"
        )


def _draw_patches(figure: SubFigure, patches: Array, limits: Limits) -> None:
    """Draw numbered patches [P, h, w] in a square grid."""
    side = math.ceil(math.sqrt(len(patches)))
    grid = figure.subplots(math.ceil(len(patches) / side), side, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, (axes, patch) in enumerate(zip(grid.flat, patches, strict=False), start=1):
        axes.set_axis_on()
        draw_image(axes, patch, limits, str(number))
        axes.title.set_fontsize(8)


def _outline(axes: Axes, corners: Array, window: int) -> None:
    """Outline and number windows whose top left px are `corners`, (row, column)."""
    for number, (row, column) in enumerate(corners, start=1):
        # imshow centres px (0, 0) at the point (0, 0): its corner is half a px up and left.
        axes.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5),
                window,
                window,
                fill=False,
                edgecolor=MARK_COLOUR,
                linewidth=1.3,
            )
        )
        above = row > 0.06 * np.ptp(axes.get_ylim())
        axes.text(
            column + window / 2 - 0.5,
            row - 1.5 if above else row + window + 0.5,
            str(number),
            color="black",
            fontsize=7,
            horizontalalignment="center",
            verticalalignment="bottom" if above else "top",
            bbox={"facecolor": MARK_COLOUR, "edgecolor": "none", "pad": 0.6},
        )
