"""Spectra of scans in units of their spatial frequencies."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import TOPOGRAPH_COLOURS, Extent, spectrum_extent

FLATTEST = 4.0  # ratio of the drawn ranges above which they are stretched
LOWEST, SHOWN = -60.0, -50.0  # dB: the end of the colours, and what decides how far is drawn


def decibels(power: Array, strongest: float) -> Array:
    """Return a power spectrum in dB of the strongest power."""
    return np.asarray(10 * np.log10(np.maximum(power / (strongest or 1.0), 1e-15)))


def draw_decibels(
    axes: Axes, values: Array, pixel: tuple[float, float] | None, inside: float = 100.0
) -> AxesImage:
    """Draw a centred spectrum, as far out as it holds something.

    Args:
        axes: Empty.
        values: dB, [H, W], frequency 0 in the middle.
        pixel: nm per px along axes 0 and 1; None: frequencies are in 1/px.
        inside: Percent of the frequencies of noticeable power that are drawn; less than 100 keeps
            a few single ones from making the rest small.
    """
    height, width = values.shape
    # A px of the spectrum is 1 / (size of the image).
    size = pixel or (1.0, 1.0)
    step_y, step_x = 1 / (height * size[0]), 1 / (width * size[1])
    extent = spectrum_extent(height, width, step_y, step_x)
    artist = axes.imshow(
        values, cmap=TOPOGRAPH_COLOURS, vmin=LOWEST, vmax=0, extent=extent, interpolation="nearest"
    )
    # The spectrum of a finely sampled scan is empty except near its centre: show only that part.
    rows, columns = np.nonzero(values > SHOWN)
    offsets = (np.abs(rows - height // 2), np.abs(columns - width // 2))
    if len(rows) == 0:  # a constant image
        offsets = (np.array([height // 2]), np.array([width // 2]))
    far = [max(8.0, float(np.percentile(offset, inside))) for offset in offsets]
    reach = 1.1 * max(far[0] * step_y, far[1] * step_x)
    _limit(axes, extent, reach)
    drawn = [min(reach, side / 2) for side in (height * step_y, width * step_x)]
    if max(drawn) > FLATTEST * min(drawn):
        axes.set_aspect("auto")
    unit = "1/px" if pixel is None else "1/nm"
    axes.set_xlabel(f"spatial frequency along a row ({unit})")
    axes.set_ylabel(f"along a column ({unit})")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return artist


def _limit(axes: Axes, extent: Extent, reach: float) -> None:
    axes.set_xlim(max(extent.left, -reach), min(extent.right, reach))
    axes.set_ylim(min(extent.bottom, reach), max(extent.top, -reach))
