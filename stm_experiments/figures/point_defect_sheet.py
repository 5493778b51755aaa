"""Point defects in an image before and after denoising (thesis: Figure 1.9)."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    ArrayOrTensor,
    as_image,
    draw_image,
    height_limits,
    new_figure,
    wrapped,
)
from stm_experiments.lattice.point_defects import DetectedDefects

_BRIGHT, _DARK, _TRUE = "#FF3B30", "#2F7BFF", "#3DDC5A"


class DefectPanel(NamedTuple):
    """An image [H, W] and the point defects that were found in it."""

    title: str
    image: ArrayOrTensor
    defects: DetectedDefects


def point_defect_sheet(
    rows: Sequence[Sequence[DefectPanel]],
    truths: Sequence[Array | None],
    title: str,
) -> Figure:
    """Draw images with the point defects that were found in them.

    Args:
        rows: The panels of each row of the sheet.
        truths: (row, column) of the true point defects in each row's images, px, [T, 2]; None:
            unknown.
        title: Title of the sheet.

    Raises:
        ValueError: If there are no images.
    """
    if not rows or not all(rows):
        raise ValueError("got no images")
    columns = max(len(row) for row in rows)
    side = min(4.5, 14 / columns)
    has_truth = any(truth is not None for truth in truths)
    caption = "Circles: point defects found, bright (red) and dark (blue)."
    caption += " Squares: the true ones." if has_truth else " The true ones are unknown."
    height = len(rows) * (side + 0.5) + 1.2
    figure = new_figure(columns * side + 0.4, height, title, caption, packed=True)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, row, truth in zip(grid, rows, truths, strict=True):
        for axes, panel in zip(line, row, strict=False):
            axes.set_axis_on()
            array = as_image(panel.image)
            limits = height_limits([array], clip_percent=0.5)
            draw_image(axes, array, limits, wrapped(panel.title, int(side * 12)), "gray")
            if truth is not None:
                axes.plot(*truth.T[::-1], "s", mfc="none", mec=_TRUE, ms=9, mew=0.8)
            bright = panel.defects.bright
            for colour, mask in ((_BRIGHT, bright), (_DARK, ~bright)):
                places = panel.defects.position[mask]
                axes.plot(*places.T[::-1], "o", mfc="none", mec=colour, ms=6, mew=1.2)
    marks = [("bright, found", _BRIGHT, "o"), ("dark, found", _DARK, "o"), ("true", _TRUE, "s")]
    figure.legend(
        handles=[
            Line2D([], [], ls="", marker=shape, mfc="none", mec=colour, label=label)
            for label, colour, shape in marks[: 3 if has_truth else 2]
        ],
        loc="outside upper right",
        ncols=3,
        fontsize=9,
        frameon=False,
    )
    return figure
