"""Point defects in an image before and after denoising (thesis: Figure 1.9)."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    ArrayOrTensor,
    add_scale_bar,
    as_image,
    draw_image,
    height_limits,
    new_figure,
    wrapped,
)
from stm_experiments.lattice.point_defects import DetectedDefects

_BRIGHT, _DARK, _TRUE = "#FF3B30", "#2F7BFF", "#3DDC5A"


class DefectPanel(NamedTuple):
    """An image and the point defects that were found in it.

    Attributes:
        title: Of the panel.
        image: [H, W], NaN where not measured.
        defects: Those found in it.
        pixel_nm: Width of a pixel, nm; None: unknown.
    """

    title: str
    image: ArrayOrTensor
    defects: DetectedDefects
    pixel_nm: float | None = None


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
    side = 7.0 if columns == len(rows) == 1 else min(4.5, 14 / columns)
    has_truth = any(truth is not None for truth in truths)
    caption = "Point defects found: bright (red, tip up) and dark (blue, tip down)."
    caption += " Green circles: the true ones." if has_truth else " The true ones are unknown."
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
            draw_image(axes, array, limits, wrapped(panel.title, int(side * 12)))
            unit = "px" if panel.pixel_nm is None else "nm"
            add_scale_bar(axes, array.shape[1], 1 / (panel.pixel_nm or 1.0), unit)
            if truth is not None:
                axes.plot(*truth.T[::-1], "o", mfc="none", mec=_TRUE, ms=11, mew=0.9)
            bright = panel.defects.bright
            for colour, marker, mask in ((_BRIGHT, "^", bright), (_DARK, "v", ~bright)):
                places = panel.defects.position[mask]
                axes.plot(*places.T[::-1], marker, mfc="none", mec=colour, ms=7, mew=1.3)
    return figure
