"""Panels of equal size with colour bars, placed by inches: nothing depends on their content."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from stm_experiments.figures.canvas import add_caption, add_title

WIDTH = 11.5  # in, of a page
LEFT, RIGHT = 0.75, 1.0  # in, room for the labels of an axis, and for a colour bar
ABOVE, BELOW = 0.32, 0.12  # in, room for the title of a panel
AXIS = 0.5  # in, room for the labels of an axis below a panel
TITLE_LINE, CAPTION_LINE = 0.22, 0.155  # in
BAR, BAR_GAP = 0.16, 0.12  # in


class Row(NamedTuple):
    """A row of panels of equal size.

    Attributes:
        columns: Number of panels.
        width: Of a panel, in.
        height: Of a panel, in.
        has_axis: Whether the panels have labelled axes.
    """

    columns: int
    width: float
    height: float
    has_axis: bool = False


def largest_width(columns: int) -> float:
    """Return the width of a panel of which several lie beside each other, in."""
    return WIDTH / columns - LEFT - RIGHT


def place_panels(rows: Sequence[Row], title: str, caption: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with a title, a caption and empty panels, row by row.

    Args:
        rows: At least one.
        title: Bold line(s) above the panels.
        caption: Small text below them.
    """
    figure = Figure()
    above, below = add_title(figure, WIDTH, title), add_caption(figure, WIDTH, caption)
    top, bottom = (
        0.25 + line * (text.get_text().count("\n") + 1)
        for line, text in ((TITLE_LINE, above), (CAPTION_LINE, below))
    )
    sides = [ABOVE + row.height + BELOW + AXIS * row.has_axis for row in rows]
    height = top + sum(sides) + bottom
    figure.set_size_inches(WIDTH, height)
    above.set_y(1 - 0.12 / height)
    below.set(y=0.1 / height, va="bottom")
    panels = []
    upper = height - top
    for row, side in zip(rows, sides, strict=True):
        slot = WIDTH / row.columns
        for number in range(row.columns):
            left = number * slot + LEFT + (slot - LEFT - RIGHT - row.width) / 2
            lower = upper - ABOVE - row.height
            box = (left / WIDTH, lower / height, row.width / WIDTH, row.height / height)
            panels.append(figure.add_axes(box))
        upper -= side
    return figure, panels


def add_colour_bar(axes: Axes, artist: AxesImage, label: str, extend: str = "neither") -> None:
    """Draw a colour bar beside a panel, as high as its image; its label fits the height."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    axes.apply_aspect()
    box = axes.get_position()
    width, height = figure.get_size_inches()
    place = (box.x1 + BAR_GAP / width, box.y0, BAR / width, box.height)
    bar = figure.colorbar(artist, cax=figure.add_axes(place), extend=extend)
    inches = box.height * height
    bar.set_label(label, fontsize=10 if inches > 0.085 * len(label) else 8)
