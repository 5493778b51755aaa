"""A scan with its profile and its spectrum, in its own units."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    LARGEST,
    MARK_COLOUR,
    Quantity,
    centred_power,
    clipped_ends,
    draw_image,
    height_limits,
    middle,
    new_figure,
    quantity,
    set_scale,
    shrink,
)
from stm_experiments.figures.scans.spectrum import decibels, draw_decibels
from stm_experiments.figures.style import style

CLIPPED = 0.3  # percent of the pixels beyond each end of the colours
PROFILE_COLOUR = "#0072B2"


class Line(NamedTuple):
    """A profile and where it lies.

    Attributes:
        rows: Of its start and its end, px.
        columns: Of its start and its end, px.
        distance: [N], in ``length``.
        height: [N], in the unit of the scan, NaN where not measured.
        length: Unit of the distance.
    """

    rows: tuple[float, float]
    columns: tuple[float, float]
    distance: Array
    height: Array
    length: str


def scan_sheet(
    image: Array,
    unit: str,
    pixel_nm: tuple[float, float] | None,
    line: Line,
    title: str,
    caption: str,
) -> Figure:
    """Draw a scan, its spectrum and a profile.

    Args:
        image: [H, W] in ``unit``, NaN where not measured.
        unit: SI.
        pixel_nm: nm per px along axes 0 and 1; None: unknown.
        line: The profile.
        title: Name of the scan.
        caption: What is known of it.
    """
    limits = height_limits([image], clip_percent=CLIPPED)
    scale = quantity(limits, unit)
    if np.isnan(image).any():
        caption = f"{caption.removesuffix('.')}. Hatched: not measured."
    figure = new_figure(11.0, 8.5, title, caption)
    grid = figure.add_gridspec(2, 2, height_ratios=(2.2, 1))
    ends = scale.ends(limits)
    panel = figure.add_subplot(grid[0, 0])
    _draw_scan(panel, scale.of(image), ends, pixel_nm, line, scale.label)
    spectrum = figure.add_subplot(grid[0, 1])
    power = centred_power(middle(_measured_part(image)))
    artist = draw_decibels(spectrum, decibels(power, float(power.max())), pixel_nm)
    spectrum.set_title("spectrum", fontsize=10)
    figure.colorbar(artist, ax=spectrum, label="power (dB of the strongest)", shrink=0.8)
    _draw_profile(figure.add_subplot(grid[1, :]), line, scale)
    return figure


def _draw_scan(
    axes: Axes,
    image: Array,
    ends: tuple[float, float],
    pixel_nm: tuple[float, float] | None,
    line: Line,
    label: str,
) -> None:
    """Draw the image with a scale bar and the line of the profile."""
    small = shrink(image)
    artist = draw_image(axes, small.image, ends, "scan", style().colormap)
    set_scale(axes, small.image.shape[1], pixel_nm, small.step)
    columns, rows = (
        [place / small.step for place in places] for places in (line.columns, line.rows)
    )
    axes.plot(columns, rows, color=MARK_COLOUR, linewidth=1.2)
    axes.plot(columns[:1], rows[:1], "o", color=MARK_COLOUR, markersize=4)
    axes.set_xlim(-0.5, small.image.shape[1] - 0.5)
    axes.set_ylim(small.image.shape[0] - 0.5, -0.5)
    extend = clipped_ends([small.image[np.isfinite(small.image)]], ends)
    axes.figure.colorbar(artist, ax=axes, label=label, extend=extend, shrink=0.8)


def _measured_part(image: Array) -> Array:
    """Return an image without rows and columns at its borders that were not measured."""
    measured = np.isfinite(image)
    rows, columns = (np.flatnonzero(measured.any(axis=axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _draw_profile(axes: Axes, line: Line, scale: Quantity) -> None:
    heights = scale.of(line.height)
    axes.plot(line.distance, heights, color=PROFILE_COLOUR, linewidth=1)
    axes.plot(0, heights[0], "o", color=PROFILE_COLOUR, markersize=4)
    axes.set_xlim(0, line.distance[-1])
    axes.set_xlabel(f"distance along the line from its dot ({line.length})")
    axes.set_ylabel(scale.label)
    axes.set_title("profile along the line in the scan", fontsize=10)
    axes.grid(alpha=0.3)


def caption_of(about: list[str], steps: list[str], size: tuple[int, ...]) -> str:
    """Return the text below the picture: the measurement, what was done, how it is drawn."""
    text = "; ".join(steps or ["as recorded"])
    if about:
        text = f"{', '.join(about)}\n{text}"
    if max(size) > LARGEST:
        text += f". Means of blocks are drawn; the spectrum is that of the middle {LARGEST} px."
    return text
