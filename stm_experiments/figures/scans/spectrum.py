"""Spectra of scans in units of their spatial frequencies."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from scipy import ndimage

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import Extent, spectrum_extent
from stm_experiments.figures.style import style

FLATTEST = 4.0  # ratio of the drawn ranges above which they are stretched
LOWEST, SHOWN = -60.0, -50.0  # dB: the end of the colours, and what decides how far is drawn
ABOVE_NOISE = 15.0  # dB above the median: of pure noise one px in 10^9
INSIDE = 0.97  # share of the weights of the peaks that is drawn
STREAK = 2  # px beside the middle column, where offsets of rows make a streak


def decibels(power: Array, strongest: float) -> Array:
    """Return a power spectrum in dB of the strongest power."""
    return np.asarray(10 * np.log10(np.maximum(power / (strongest or 1.0), 1e-15)))


def draw_decibels(
    axes: Axes,
    values: Array,
    pixel: tuple[float, float] | None,
    judged: Array | None = None,
) -> AxesImage:
    """Draw a centred spectrum, as far out as it holds something.

    Args:
        axes: Empty.
        values: dB, [H, W], frequency 0 in the middle.
        pixel: nm per px along axes 0 and 1; None: frequencies are in 1/px.
        judged: The spectrum whose peaks say how far is drawn, dB, [H, W]; None: ``values``.
    """
    height, width = values.shape
    # A px of the spectrum is 1 / (size of the image).
    size = pixel or (1.0, 1.0)
    step_y, step_x = 1 / (height * size[0]), 1 / (width * size[1])
    extent = spectrum_extent(height, width, step_y, step_x)
    artist = axes.imshow(
        values, cmap=style().colormap, vmin=LOWEST, vmax=0, extent=extent, interpolation="nearest"
    )
    # The spectrum of a finely sampled scan is empty except near its centre: show only that part.
    far = [max(8.0, pixels) for pixels in _reach(values if judged is None else judged)]
    reach = 1.3 * max(far[0] * step_y, far[1] * step_x)
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


def _reach(values: Array) -> list[float]:
    """Return how far from the middle a spectrum holds peaks, px along each axis.

    Peaks are weighed by what they stand above noise, dB. Those beside the middle column, where
    offsets of rows make a streak, count only if there are no others. A few single ones far outside
    are left out.

    Args:
        values: dB, [H, W].
    """
    middle = [side // 2 for side in values.shape]
    least = max(SHOWN, float(np.median(values)) + ABOVE_NOISE)
    peaks = (values > least) & (values == ndimage.maximum_filter(values, 5))
    rows, columns = np.nonzero(peaks)
    offsets = [np.abs(rows - middle[0]), np.abs(columns - middle[1])]
    aside = offsets[1] > STREAK
    if aside.any():
        offsets = [offset[aside] for offset in offsets]
        rows, columns = rows[aside], columns[aside]
    if len(rows) == 0:  # a constant image, or noise
        return [float(side) for side in middle]
    weights = (values[rows, columns] - least) ** 2
    reach = []
    for offset in offsets:
        order = offset.argsort()
        share = np.cumsum(weights[order]) / weights.sum()
        reach.append(float(offset[order][np.searchsorted(share, INSIDE - 1e-9)]))
    return reach


def _limit(axes: Axes, extent: Extent, reach: float) -> None:
    axes.set_xlim(max(extent.left, -reach), min(extent.right, reach))
    axes.set_ylim(min(extent.bottom, reach), max(extent.top, -reach))
