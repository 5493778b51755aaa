"""Topographs: labelled sheets, and the patches cut out of a topograph (paper: Figures 3-7, 10)."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stm_experiments.figures.canvas import (
    Array,
    ArrayOrTensor,
    add_scale_bar,
    as_array,
    as_image,
    as_patches,
    draw_image,
    height_limits,
    new_figure,
    wrapped,
)

_OUTLINE = "#00E5FF"  # a colour that the topographs' map does not contain
_HEIGHT = "height (arbitrary units)"


def topograph_sheet(
    images: Sequence[ArrayOrTensor],
    titles: Sequence[str],
    spreads: Sequence[float] | None,
    columns: int = 4,
    title: str = "Simulated topographs",
    shared_scale: bool = True,
) -> Figure:
    """Draw a sheet of topographs, each with its name and a scale bar (Figures 3-7).

    Args:
        images: [H,W] each; sizes may differ.
        titles: One line per image.
        spreads: Lattice constant a of each image in px; None: the scale bars are in px.
        columns: Images per row, at most.
        title: Title of the sheet.
        shared_scale: One colour scale and bar for all images, so that they can be compared; False,
            or if the range of one is more than four times another's: each image has its own.

    Raises:
        ValueError: If there are no images, or the numbers of images, titles and spreads differ.
    """
    arrays = [as_image(image) for image in images]
    if not arrays or len(titles) != len(arrays):
        raise ValueError(f"got {len(arrays)} images and {len(titles)} titles")
    if spreads is not None and len(spreads) != len(arrays):
        raise ValueError(f"got {len(arrays)} images and {len(spreads)} spreads")
    ranges = [high - low for low, high in map(height_limits, ([array] for array in arrays))]
    shared_scale = shared_scale and max(ranges) <= 4 * min(ranges)
    columns = max(1, min(columns, len(arrays)))
    rows = math.ceil(len(arrays) / columns)
    # In inches: all colour bars with their labels; one panel's width and height.
    bars = 1.3 if shared_scale else 1.1 * columns
    size = min(5.5, max(2.0, (12.0 - bars) / columns))
    tall = size * min(2.0, max(array.shape[0] / array.shape[1] for array in arrays))
    unit = "px" if spreads is None else "lattice constants (a)"
    caption = f"Bright: high. Scale bars in {unit}."
    figure = new_figure(
        columns * size + bars, rows * (tall + 0.4) + 0.9, title, caption, packed=True
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    common = height_limits(arrays)
    for index, (axes, array) in enumerate(zip(grid.flat, arrays, strict=False)):
        limits = common if shared_scale else height_limits([array])
        artist = draw_image(axes, array, limits, wrapped(titles[index], int(size * 11)))
        spread, name = (1.0, "px") if spreads is None else (float(spreads[index]), "a")
        add_scale_bar(axes, array.shape[1], spread, name)
        if not shared_scale:
            figure.colorbar(artist, ax=axes, shrink=0.9).set_label(_HEIGHT, fontsize=8)
    for axes in grid.flat[len(arrays) :]:
        axes.set_axis_off()
    if shared_scale:
        figure.colorbar(artist, ax=grid, shrink=0.9 if rows == 1 else 0.5, label=_HEIGHT)
    return figure


def artefact_sheet(
    images: Mapping[str, ArrayOrTensor], spread: float, title: str = "Each artefact alone"
) -> Figure:
    """Draw a sheet of images by name, each with a grey scale of its own and without further marks.

    Args:
        images: [H,W] each, by its title.
        spread: Lattice constant in px, for the one scale bar.
        title: Title of the sheet.

    Raises:
        ValueError: If there are no images.
    """
    if not images:
        raise ValueError("got no images")
    columns = 6
    rows = math.ceil(len(images) / columns)
    caption = "Bright: high; each image has its own scale. Scale bar in lattice constants (a)."
    figure = new_figure(15, 2.85 * rows + 0.7, title, caption, packed=True)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, image) in zip(grid.flat, images.items(), strict=False):
        axes.set_axis_on()
        array = as_image(image)
        artist = draw_image(axes, array, height_limits([array]), wrapped(name, 32))
        artist.set_cmap("gray")
    add_scale_bar(grid[0, 0], as_image(next(iter(images.values()))).shape[1], spread, "a")
    return figure


def patch_montage(
    noisy: ArrayOrTensor,
    clean: ArrayOrTensor | None,
    positions: ArrayOrTensor,
    window: int,
    patches: ArrayOrTensor,
    title: str = "Patches cut from a topograph",
    most: int = 25,
) -> Figure:
    """Draw a topograph, where patches were cut from it, and the patches (Figure 10).

    Args:
        noisy: [H,W], what the microscope shows.
        clean: [H,W], the same without noise, or None.
        positions: [P,2], (row, column) of each patch's top left px.
        window: Height and width of a patch in px.
        patches: [P,h,w] or [P,1,h,w].
        title: Title of the picture.
        most: How many patches are shown: the first ones.

    Raises:
        ValueError: If shapes do not fit each other or a patch lies outside the image.
    """
    image = as_image(noisy)
    images = [("noisy", image)] if clean is None else [("clean", as_image(clean)), ("noisy", image)]
    cut = as_patches(patches)
    corners = as_array(positions)
    if corners.shape != (len(cut), 2) or cut.shape[1:] != (window, window):
        raise ValueError(
            f"positions {list(corners.shape)} and patches {list(cut.shape)} do not fit "
            f"each other and a window of {window} px"
        )
    if corners.min() < 0 or (corners + window > image.shape).any():
        raise ValueError(
            f"a patch lies outside the image of {image.shape[0]} x {image.shape[1]} px"
        )
    if images[0][1].shape != image.shape:
        raise ValueError("the clean and the noisy image differ in size")
    total, cut, corners = len(cut), cut[:most], corners[:most]

    caption = f"Outlined: patches of {window} x {window} px, the numbers are those on the right."
    if total > len(cut):
        caption += f" The first {len(cut)} of {total} patches are shown."
    figure = new_figure(12, 5.2 if clean is not None else 6.4, title, caption)
    ratios = [2.0 if clean is not None else 1.1, 1.0]
    parts = figure.subfigures(1, 2, squeeze=False, width_ratios=ratios, wspace=0.03)[0]
    limits = height_limits([array for _, array in images] + [cut])
    left = parts[0].subplots(1, len(images), squeeze=False)[0]
    for axes, (name, array) in zip(left, images, strict=True):
        artist = draw_image(axes, array, limits, name)
        add_scale_bar(axes, array.shape[1], 1.0, "px")
        _outline(axes, corners, window)
    bar = parts[0].colorbar(artist, ax=left, location="bottom", shrink=0.6, aspect=40)
    bar.set_label(_HEIGHT)
    side = math.ceil(math.sqrt(len(cut)))
    grid = parts[1].subplots(math.ceil(len(cut) / side), side, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, (axes, patch) in enumerate(zip(grid.flat, cut, strict=False), start=1):
        axes.set_axis_on()
        draw_image(axes, patch, limits, str(number))
        axes.title.set_fontsize(8)
    return figure


def _outline(axes: Axes, corners: Array, window: int) -> None:
    """Outline windows and number them; `corners` are (row, column)."""
    for number, (row, column) in enumerate(corners, start=1):
        # imshow centres px (0, 0) on the point (0, 0): its corner is half a px up and left.
        axes.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5),
                window,
                window,
                fill=False,
                edgecolor=_OUTLINE,
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
            bbox={"facecolor": _OUTLINE, "edgecolor": "none", "pad": 0.6},
        )
