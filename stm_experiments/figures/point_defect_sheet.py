"""Point defects in images, with their heights (thesis: Figure 1.9, before and after denoising)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    ArrayOrTensor,
    as_image,
    clipped_ends,
    draw_image,
    height_limits,
    new_figure,
    quantity,
    set_scale,
    wrapped,
)
from stm_experiments.lattice.point_defects import DetectedDefects

_BRIGHT, _DARK, _TRUE = "#FF3B30", "#2F7BFF", "#3DDC5A"
_CLIPPED = 0.5  # percent of the pixels beyond each end of the colours
_CAVEAT = (
    "A mark is a spot that the lattice around it does not explain: a missing or added atom, but "
    "dirt, the edge of a step or a remnant of a stripe looks so too. The score in the table ranks "
    "them; it is no probability."
)


class DefectPanel(NamedTuple):
    """An image and the point defects that were found in it.

    Attributes:
        title: Of the panel.
        image: [H, W], NaN where not measured.
        defects: Those found in it.
        pixel_nm: Size of a pixel along axes 0 and 1, nm; None: unknown.
        unit: Of the image, SI; "" is unknown.
    """

    title: str
    image: ArrayOrTensor
    defects: DetectedDefects
    pixel_nm: tuple[float, float] | None = None
    unit: str = ""


def point_defect_sheet(
    rows: Sequence[Sequence[DefectPanel]],
    truths: Sequence[Array | None],
    title: str,
    note: str = "",
) -> Figure:
    """Draw images with the point defects that were found in them.

    Args:
        rows: The panels of each row of the sheet.
        truths: (row, column) of the true point defects in each row's images, px, [T, 2]; None:
            unknown.
        title: Title of the sheet.
        note: Sentences with which the caption begins.

    Raises:
        ValueError: If there are no images.
    """
    if not rows or not all(rows):
        raise ValueError("got no images")
    columns = max(len(row) for row in rows)
    side = 7.0 if columns == len(rows) == 1 else min(4.5, 14 / columns)
    caption = note + _explain_marks([panel for row in rows for panel in row], truths)
    height = len(rows) * (side + 0.5) + 1.2
    figure = new_figure(columns * (side + 0.8) + 0.4, height, title, caption, packed=True)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, row, truth in zip(grid, rows, truths, strict=True):
        for axes, panel in zip(line, row, strict=False):
            axes.set_axis_on()
            _draw_panel(axes, panel, truth, int(side * 12))
    return figure


def _explain_marks(panels: Sequence[DefectPanel], truths: Sequence[Array | None]) -> str:
    """Say what the marks mean that are drawn."""
    bright = np.concatenate([panel.defects.bright for panel in panels])
    signs = {"bright (red, tip up)": bright, "dark (blue, tip down)": ~bright}
    drawn = " and ".join(words for words, mask in signs.items() if mask.any())
    words = [f"Point defects found: {drawn}."] if drawn else []
    if any(truth is not None for truth in truths):
        words.append("Green circles: the true ones.")
    elif drawn:
        words.append("The true ones are unknown.")
    return " ".join([*words, _CAVEAT] if drawn else words)


def _draw_panel(axes: Axes, panel: DefectPanel, truth: Array | None, characters: int) -> None:
    """Draw an image with its colour bar, scale bar and point defects.

    Args:
        axes: Empty.
        panel: The image and its defects.
        truth: (row, column) of the true ones, px, [T, 2]; None: unknown.
        characters: In a line of the title.
    """
    array = as_image(panel.image)
    limits = height_limits([array], _CLIPPED)
    scale = quantity(limits, panel.unit)
    drawn, ends = scale.of(array), scale.ends(limits)
    artist = draw_image(axes, drawn, ends, wrapped(panel.title, characters))
    set_scale(axes, array.shape[1], panel.pixel_nm)
    extend = clipped_ends([drawn[np.isfinite(drawn)]], ends)
    axes.figure.colorbar(artist, ax=axes, label=scale.label, extend=extend, shrink=0.8)
    if truth is not None:
        axes.plot(*truth.T[::-1], "o", mfc="none", mec=_TRUE, ms=11, mew=0.9)
    bright = panel.defects.bright
    for colour, marker, mask in ((_BRIGHT, "^", bright), (_DARK, "v", ~bright)):
        places = panel.defects.position[mask]
        for edge, width in (("white", 2.6), (colour, 1.3)):
            axes.plot(*places.T[::-1], marker, mfc="none", mec=edge, ms=7, mew=width)
