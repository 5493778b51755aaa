"""Sheets of topographs, each with its name (paper: Figures 3-7)."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    HEIGHT_LABEL,
    ArrayOrTensor,
    add_scale_bar,
    as_image,
    draw_image,
    height_limits,
    new_figure,
    wrapped,
)
from stm_experiments.simulator import AnyLattice, Topographs

_COMPARABLE_RANGES = 4  # largest ratio of the ranges of images that share a colour scale


def topograph_sheet(
    images: Sequence[ArrayOrTensor],
    titles: Sequence[str],
    spreads: Sequence[float] | None,
    *,
    columns: int = 4,
    title: str = "Simulated topographs",
    shared_scale: bool = True,
) -> Figure:
    """Draw a sheet of topographs, each with its name and a scale bar (Figures 3-7).

    Args:
        images: [H, W] each; sizes may differ.
        titles: One line per image.
        spreads: Lattice constant a of each image in px; None: the scale bars are in px.
        columns: Images per row, at most.
        title: Title of the sheet.
        shared_scale: Whether all images have the same colour scale and one colour bar. Images
            whose ranges differ by more than a factor of 4 never share a scale.

    Raises:
        ValueError: If there are no images, or the numbers of images, titles and spreads differ.
    """
    arrays = [as_image(image) for image in images]
    if not arrays or len(titles) != len(arrays):
        raise ValueError(f"got {len(arrays)} images and {len(titles)} titles")
    if spreads is not None and len(spreads) != len(arrays):
        raise ValueError(f"got {len(arrays)} images and {len(spreads)} spreads")
    shared_scale = shared_scale and _are_comparable(arrays)
    columns = max(1, min(columns, len(arrays)))
    rows = math.ceil(len(arrays) / columns)
    bars_width = 1.3 if shared_scale else 1.1 * columns  # inches, with labels
    panel_width = min(5.5, max(2.0, (12.0 - bars_width) / columns))  # inches
    tallest = max(array.shape[0] / array.shape[1] for array in arrays)
    panel_height = panel_width * min(2.0, tallest)
    unit = "px" if spreads is None else "lattice constants (a)"
    figure = new_figure(
        columns * panel_width + bars_width,
        rows * (panel_height + 0.4) + 0.9,
        title,
        f"Bright: high. Scale bars in {unit}.",
        packed=True,
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    common_limits = height_limits(arrays)
    for index, (axes, array) in enumerate(zip(grid.flat, arrays, strict=False)):
        limits = common_limits if shared_scale else height_limits([array])
        artist = draw_image(axes, array, limits, wrapped(titles[index], int(panel_width * 11)))
        spread, name = (1.0, "px") if spreads is None else (float(spreads[index]), "a")
        add_scale_bar(axes, array.shape[1], spread, name)
        if not shared_scale:
            figure.colorbar(artist, ax=axes, shrink=0.9).set_label(HEIGHT_LABEL, fontsize=8)
    for axes in grid.flat[len(arrays) :]:
        axes.set_axis_off()
    if shared_scale:
        figure.colorbar(artist, ax=grid, shrink=0.9 if rows == 1 else 0.5, label=HEIGHT_LABEL)
    return figure


def _are_comparable(images: Sequence[Array]) -> bool:
    """Return whether the ranges of images are similar enough for one colour scale."""
    ranges = [high - low for low, high in (height_limits([image]) for image in images)]
    return max(ranges) <= _COMPARABLE_RANGES * min(ranges)


def simulation_sheet(topographs: Topographs, lattices: Sequence[AnyLattice], title: str) -> Figure:
    """Draw up to five simulated topographs above their noisy partners, more of them next to these.

    Args:
        topographs: At least one.
        lattices: Of each topograph.
        title: Title of the sheet.
    """
    many = len(lattices) > 5
    images = {"clean": topographs.clean}
    if not topographs.noisy.equal(topographs.clean):  # without noise both are the same picture
        images["noisy"] = topographs.noisy
    panels = [(index, name) for index in range(len(lattices)) for name in images]
    if not many:
        panels.sort(key=lambda panel: panel[1])
    titles = []
    for index, name in panels:
        lattice, fractions = lattices[index], topographs.orientation[index].tolist()
        limits = (lattice.azimuth_max, lattice.tilt_max, lattice.rotation_max)
        azimuth, tilt, rotation = (x * limit for x, limit in zip(fractions, limits, strict=True))
        angles = f"azimuth {azimuth:.0f}°, tilt {tilt:.0f}°,\nrotation {rotation:.0f}°"
        titles.append(f"{lattice.name}, {name}\n{angles}")
    shown = [images[name][index, 0] for index, name in panels]
    spreads = [lattices[index].spread for index, _ in panels]
    columns = 4 if many else max(len(lattices), 2)
    return topograph_sheet(shown, titles, spreads, columns=columns, title=title)


def artefact_sheet(
    images: Mapping[str, ArrayOrTensor], spread: float, title: str = "Each artefact alone"
) -> Figure:
    """Draw a sheet of images, each with its name and a grey scale of its own.

    Args:
        images: [H, W] each, by title.
        spread: Lattice constant in px, for the scale bar of the first image.
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
        draw_image(axes, array, height_limits([array]), wrapped(name, 32), "gray")
    add_scale_bar(grid[0, 0], as_image(next(iter(images.values()))).shape[1], spread, "a")
    return figure
