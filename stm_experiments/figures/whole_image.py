"""A whole image before and after a network."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from stm_experiments.core.spectra import hann_power
from stm_experiments.core.units import fitting_unit
from stm_experiments.figures.canvas import (
    RESIDUAL_COLOURS,
    TOPOGRAPH_COLOURS,
    Array,
    ArrayOrTensor,
    add_scale_bar,
    as_image,
    clipped_ends,
    draw_image,
    height_limits,
    new_figure,
)

_QUANTITIES = {"m": "height", "A": "current", "V": "voltage", "": "height"}


def whole_image(
    before: ArrayOrTensor,
    after: ArrayOrTensor,
    unit: str,
    pixel_nm: float | tuple[float, float] | None,
    title: str,
    clean: ArrayOrTensor | None = None,
    uncertainty: ArrayOrTensor | None = None,
) -> Figure:
    """Draw a whole image before and after reconstruction, the difference, and both spectra.

    Colours leave out half a percent of the pixels at each end, so that a scar does not take all
    contrast; pointed ends of the colour bar show where that happened. Lengths (unit "m") are drawn
    relative to the lowest shown height, in nm, pm, ...: an STM's absolute height has no meaning.

    Args:
        before: [H, W] in `unit`. NaN: pixels that were not measured, shown hatched.
        after: [H, W] in `unit`.
        unit: "m", "A", "V" get the fitting SI prefix; "": arbitrary units; others are
            shown as they are.
        pixel_nm: Size of a px in nm, along axes 0 and 1 if they differ; None: lengths are shown
            in px.
        title: Name of the image.
        clean: [H, W] in `unit`: the image without noise, where it is known.
        uncertainty: [H, W] in `unit`, of `after`.

    Raises:
        ValueError: If the shapes differ or `pixel_nm` is not positive.
    """
    given = {"before": before, "after": after, "clean": clean, "uncertainty": uncertainty}
    images = {name: as_image(image) for name, image in given.items() if image is not None}
    first, last = images["before"], images["after"]
    if any(image.shape != first.shape for image in images.values()):
        raise ValueError(f"shapes differ: {[list(image.shape) for image in images.values()]}")
    pixel = (pixel_nm, pixel_nm) if isinstance(pixel_nm, int | float) else pixel_nm
    limits = height_limits([first, last], clip_percent=0.5)
    shift = limits[0] if unit == "m" else 0.0
    factor, scaled_unit = fitting_unit(max(abs(end - shift) for end in limits), unit, smallest=-4)
    limits = ((limits[0] - shift) / factor, (limits[1] - shift) / factor)
    first, last = (first - shift) / factor, (last - shift) / factor
    residual = last - first
    largest = height_limits([np.abs(residual)], clip_percent=0.5)[1]

    label = f"{_QUANTITIES.get(unit, 'value')} ({scaled_unit or 'arb. units'})"
    panels = [
        (first, limits, "before", TOPOGRAPH_COLOURS, label),
        (last, limits, "after", TOPOGRAPH_COLOURS, label),
        (
            residual,
            (-largest, largest),
            "residual (after - before)",
            RESIDUAL_COLOURS,
            f"change of {label}",
        ),
    ]
    if clean is not None:
        truth = (images["clean"] - shift) / factor
        panels.append((truth, limits, "clean, scaled to before", TOPOGRAPH_COLOURS, label))
    if uncertainty is not None:
        doubt = images["uncertainty"] / factor
        ends = (0.0, height_limits([doubt], clip_percent=0.5)[1])
        panels.append((doubt, ends, "uncertainty of after", "viridis", f"uncertainty of {label}"))

    height, width = first.shape
    high_over_wide = height / width if pixel is None else height * pixel[0] / (width * pixel[1])
    top = min(4.5 * high_over_wide, 6.5)  # inches
    bottom = max(top, 3.3)  # the spectrum is about square, whatever the image is
    heights = [top, bottom] + [top] * (len(panels) > 3)
    caption = _caption(bool(np.isnan(first).any()), uncertainty is not None)
    figure = new_figure(11.5, sum(heights) + 2.3, title, caption, packed=True)
    grid = figure.subplots(len(heights), 2, height_ratios=heights).ravel()
    spectrum_axes, places = grid[3], [*grid[:3], *grid[4:]]
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    for axes, (image, ends, name, colours, text) in zip(places, panels, strict=False):
        artist = draw_image(axes, image, ends, name, colours)
        _hatch_gaps(axes, image)
        if pixel is not None:
            axes.set_aspect(pixel[0] / pixel[1])
        per_unit, length = (1.0, "px") if pixel is None else (1 / pixel[1], "nm")
        add_scale_bar(axes, width, per_unit, length)
        figure.colorbar(artist, ax=axes, label=text, extend=clipped_ends([image], ends), shrink=0.9)
    spectrum = _draw_spectra(spectrum_axes, first, last, pixel)
    figure.colorbar(
        spectrum,
        ax=spectrum_axes,
        label="power (dB, 0: strongest before)",
        extend="min",
        shrink=0.9,
    )
    return figure


def _caption(gaps: bool, uncertainty: bool) -> str:
    """Return what a stranger needs in order to read the picture."""
    caption = (
        "Bright: high. Residual: after minus before, what the reconstruction changed; it should "
        "look like noise. Spectrum: power of the Fourier transform (one half tells "
        "all of it); bright spots are the lattice."
    )
    if gaps:
        caption += " Hatched: not measured."
    if uncertainty:
        caption += (
            " Uncertainty: what the network says of itself, or how much its result changes when "
            "the image is mirrored; what it always gets wrong in the same way this does not show."
        )
    return caption


def _hatch_gaps(axes: Axes, image: Array) -> None:
    """Hatch the pixels that are NaN: imshow leaves them transparent."""
    if np.isnan(image).any():
        gaps = Rectangle((0, 0), 1, 1, transform=axes.transAxes, zorder=-1)
        gaps.set(facecolor="0.75", edgecolor="0.5", hatch="////", linewidth=0)
        axes.add_patch(gaps)


def _draw_spectra(
    axes: Axes, before: Array, after: Array, pixel_nm: tuple[float, float] | None
) -> AxesImage:
    """Draw the power spectra of two [H, W] images, left half before and right half after."""
    power = [_power(image) for image in (before, after)]
    strongest = power[0].max() or 1.0
    decibels = [10 * np.log10(np.maximum(part / strongest, 1e-15)) for part in power]
    height, width = before.shape
    both = np.where(np.arange(width) < width // 2, *decibels)
    # fftshift puts frequency 0 on column width // 2; a px of the spectrum is 1 / (size * pixel).
    along_column, along_row = pixel_nm or (1.0, 1.0)
    step_x, step_y = 1 / (width * along_row), 1 / (height * along_column)
    left, top = -(width // 2) - 0.5, -(height // 2) - 0.5
    artist = axes.imshow(
        both,
        cmap=TOPOGRAPH_COLOURS,
        vmin=-60,
        vmax=0,
        extent=(
            left * step_x,
            (left + width) * step_x,
            (top + height) * step_y,
            top * step_y,
        ),
        interpolation="nearest",
    )
    # Up to where there is anything to see: finely sampled scans have all of it near the centre.
    rows, columns = np.nonzero(both > -50)
    reach = 1.1 * max(
        np.abs(rows - height // 2).max(initial=8) * step_y,
        np.abs(columns - width // 2).max(initial=8) * step_x,
    )
    axes.set_xlim(max(left * step_x, -reach), min((left + width) * step_x, reach))
    axes.set_ylim(min((top + height) * step_y, reach), max(top * step_y, -reach))
    axes.axvline(-0.5 * step_x, color="#00E5FF", linewidth=0.8, linestyle=":")
    axes.set_title("spectrum: left half before, right half after", fontsize=10)
    unit = "1/px" if pixel_nm is None else "1/nm"
    axes.set_xlabel(f"spatial frequency along a row ({unit})")
    axes.set_ylabel(f"along a column ({unit})")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return artist


def _power(image: Array) -> Array:
    """Return the centred power spectrum [H, W] of an image without its mean.

    A Hann window keeps the frame's edges from drawing a bright cross; pixels that were not scanned
    count as the mean.
    """
    known = np.isfinite(image)
    if not known.any():
        return np.zeros(image.shape)
    flat = np.where(known, image - image[known].mean(), 0.0)
    spectrum: Array = np.fft.fftshift(hann_power(torch.from_numpy(flat)).numpy())
    return spectrum
