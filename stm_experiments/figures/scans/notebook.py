"""Single pictures of scans for notebooks and papers: image, profile, spectrum, comparison."""

import numpy as np
from matplotlib.figure import Figure

from stm_experiments.core.arrays import Array
from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.texts import printable
from stm_experiments.figures.canvas import (
    centred_power,
    clipped_ends,
    draw_image,
    height_limits,
    middle,
    quantity,
    set_scale,
    shrink,
    wrapped,
)
from stm_experiments.figures.scans.scan_sheet import CLIPPED, PROFILE_COLOUR
from stm_experiments.figures.scans.spectrum import decibels, draw_decibels
from stm_experiments.figures.whole_image import whole_image
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.profiles import line_profile

ONE_COLUMN = 3.5  # in, 89 mm


def plot(scan: Scan, *, level: bool = True) -> Figure:
    """Draw a scan with scale bar and colour bar, as wide as one column of a journal.

    Args:
        scan: Any.
        level: Whether to subtract its plane.
    """
    shown = shrink(_levelled(scan) if level else np.where(scan.mask, scan.data, np.nan))
    limits = height_limits([shown.image], clip_percent=CLIPPED)
    scale = quantity(limits, scan.unit)
    figure = _column(0.8)
    axes = figure.subplots()
    drawn, ends = scale.of(shown.image), scale.ends(limits)
    artist = draw_image(axes, drawn, ends, wrapped(printable(scan.name), 40))
    set_scale(axes, drawn.shape[1], scan.pixel_size, shown.step)
    extend = clipped_ends([drawn[np.isfinite(drawn)]], ends)
    figure.colorbar(artist, ax=axes, label=scale.label, extend=extend, shrink=0.9)
    return figure


def profile(
    scan: Scan,
    start: tuple[float, float] | None = None,
    end: tuple[float, float] | None = None,
) -> Figure:
    """Draw the heights along a straight line.

    Args:
        scan: Any; its plane stays.
        start: Row and column, px; None with ``end=None``: the middle row.
        end: Row and column, px.

    Raises:
        ValueError: If the line leaves the scan.
    """
    line = line_profile(scan, None if start is None and end is None else [start, end])
    measured = line.height[np.isfinite(line.height)]
    scale = quantity(height_limits([measured]), scan.unit)
    figure = _column(0.62)
    axes = figure.subplots()
    axes.plot(line.distance, scale.of(line.height), color=PROFILE_COLOUR, linewidth=1)
    axes.set_xlim(0, line.distance[-1])
    axes.set_xlabel(f"distance ({line.length})")
    axes.set_ylabel(scale.label)
    axes.grid(alpha=0.3)
    return figure


def spectrum(scan: Scan) -> Figure:
    """Draw the power spectrum of a scan without its plane, as far out as it has peaks."""
    power = centred_power(middle(_levelled(scan)))
    figure = _column(0.85)
    axes = figure.subplots()
    artist = draw_decibels(axes, decibels(power, float(power.max())), scan.pixel_size)
    figure.colorbar(artist, ax=axes, label="power (dB of the strongest)", shrink=0.9)
    return figure


def compare(before: Scan, after: Scan) -> Figure:
    """Draw two scans of equal size, their difference and their spectra.

    Args:
        before: Any.
        after: Such as ``before`` denoised.

    Raises:
        ValueError: If they differ in size or unit.
    """
    if before.unit != after.unit:
        raise ValueError(f"one scan is in {before.unit!r}, the other in {after.unit!r}")
    names = dict.fromkeys(printable(scan.name or "scan") for scan in (before, after))
    images = (_levelled(before), _levelled(after))
    return whole_image(*images, before.unit, before.pixel_size, " and ".join(names))


def _levelled(scan: Scan) -> Array:
    """Return a scan without its plane, NaN where not measured, [H, W]."""
    return np.where(scan.mask, subtract_plane(scan.data, scan.mask), np.nan)


def _column(aspect: float) -> Figure:
    """Return an empty figure as wide as one column, ``aspect`` times as high."""
    return Figure(figsize=(ONE_COLUMN, aspect * ONE_COLUMN), dpi=150, layout="constrained")
