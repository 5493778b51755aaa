"""Repeated frames of one area: reference, mean, difference, and how far they agree."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    RESIDUAL_COLOURS,
    category,
    draw_image,
    height_limits,
    new_figure,
    quantity,
    set_scale,
    shrink,
    wrapped,
)
from stm_experiments.figures.style import style


class CorrelationCurve(NamedTuple):
    """A Fourier ring correlation to be drawn.

    Attributes:
        name: Of the two frames.
        frequency: Of each ring, cycles per px, [R].
        correlation: [R].
        threshold: [R].
    """

    name: str
    frequency: Array
    correlation: Array
    threshold: Array


def frame_comparison(
    reference: Array,
    mean: Array,
    difference: Array,
    curves: Sequence[CorrelationCurve],
    unit: str,
    pixel_nm: tuple[float, float] | None,
    title: str,
    numbers: str,
) -> Figure:
    """Draw the first frame, the mean of all, a difference and the Fourier ring correlations.

    Args:
        reference: The first frame without its plane, [H, W]; NaN: not measured.
        mean: Of the aligned frames, [H, W].
        difference: Second frame less the first, [H, W].
        curves: Correlation of the first frame with each other one.
        unit: Of the images.
        pixel_nm: nm per px along axes 0 and 1; None: unknown.
        title: Name of the first frame.
        numbers: Sentences for the caption.
    """
    limits = height_limits([reference, mean], clip_percent=0.5)
    scale = quantity(limits, unit)
    figure = new_figure(
        11.0,
        10.0,
        title,
        f"{numbers}\nDifference: second frame less the first after alignment; what is not noise "
        "there has moved, or is an artefact of one frame. Fourier ring correlation: 1 where the "
        "frames agree; above the dotted half-bit curve both together hold information.",
    )
    grid = figure.subplots(2, 2).ravel()
    ends = scale.ends(limits)
    first, average = scale.of(reference), scale.of(mean)
    change = difference / scale.factor
    largest = height_limits([np.abs(change)], clip_percent=0.5)[1]
    panels = (
        ("first frame", first, ends, style().colormap, scale.label),
        ("mean of the aligned frames", average, ends, style().colormap, scale.label),
        (
            "difference",
            change,
            (-largest, largest),
            RESIDUAL_COLOURS,
            f"change of {scale.difference}",
        ),
    )
    for axes, (name, image, span, colours, bar) in zip(grid, panels, strict=False):
        small = shrink(image)
        artist = draw_image(axes, small.image, span, name, colours)
        set_scale(axes, small.image.shape[1], pixel_nm, small.step)
        figure.colorbar(artist, ax=axes, label=bar, shrink=0.9)
    known = pixel_nm is not None and np.isclose(*pixel_nm, rtol=1e-3)
    _draw_curves(grid[3], curves, pixel_nm[0] if known and pixel_nm else None)
    return figure


def _draw_curves(axes: Axes, curves: Sequence[CorrelationCurve], pixel_nm: float | None) -> None:
    """Draw the correlations against the frequency, in 1/nm where the pixels are known squares."""
    pixel, unit = (1.0, "px") if pixel_nm is None else (pixel_nm, "nm")
    for place, curve in enumerate(curves):
        colour, marker = category(place)
        axes.plot(
            curve.frequency / pixel,
            curve.correlation,
            color=colour,
            linewidth=1,
            marker=marker,
            markersize=4,
            markevery=(place, 8),
            label=wrapped(curve.name, 40),
        )
    axes.plot(curves[0].frequency / pixel, curves[0].threshold, "k:", linewidth=1, label="half bit")
    axes.axhline(0, color="0.7", linewidth=0.5)
    axes.set_xlim(0, 0.5 / pixel)
    axes.set_ylim(-0.3, 1.05)
    axes.set_xlabel(f"spatial frequency (1/{unit})")
    axes.set_ylabel("Fourier ring correlation")
    periods = axes.secondary_xaxis("top", functions=(_inverse, _inverse))
    shown = [times * pixel for times in (50, 10, 5, 3, 2)]
    periods.set_xticks(shown, [f"{period:.2g}" for period in shown])
    periods.set_xlabel(f"period ({unit})", fontsize=9)
    axes.legend(fontsize=8)


def _inverse(values: npt.ArrayLike) -> Array:
    """Return 1 / values, the largest number where a value is 0."""
    inverse: Array = 1 / np.maximum(values, 1e-6)
    return inverse
