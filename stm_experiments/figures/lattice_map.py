"""A lattice on its image: sites, empty sites, spectrum with lattice vectors, strain."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from stm_experiments.core.arrays import Array, Indices
from stm_experiments.core.planes import subtract_plane
from stm_experiments.figures.canvas import (
    CATEGORY_COLOURS,
    RESIDUAL_COLOURS,
    Limits,
    add_scale_bar,
    as_image,
    centred_power,
    draw_image,
    height_limits,
    new_figure,
    spectrum_extent,
)
from stm_experiments.lattice.fit import LatticeFit

_CAPTION = (
    "Open marks: atoms, with a colour and a shape for each place in the cell. {marks}Arrows: the "
    "lattice vectors, {times}. "
    "Spectrum: the arrows are the reciprocal vectors, the rings mark the Bragg peaks of the "
    "lattice. Dilation: half the sum of the strains along both axes, relative to the mean lattice. "
    "Shear: half the difference between the largest and the least strain. Noise of the positions "
    "alone gives about {dilation:.2g} % (rms) of dilation and {shear:.2g} % of shear. {drift}"
)
_ARROW = 0.17  # length of the drawn vectors, longer sides of the image
_BANDS = 8  # of rows, whose mean dilations are compared
_COLOURS = [CATEGORY_COLOURS[number] for number in (5, 1, 4, 2, 3, 0)]  # without black
_MARKERS = "o^sDv*<"  # one more than colours; none is like those of empty and unknown sites
_VECTOR_COLOUR = "#FFD000"
_PANEL_POINTS = 72 * 4.6  # height or width of a panel of 4.6 inches in points


def lattice_map(
    image: npt.ArrayLike,
    fits: Sequence[LatticeFit],
    title: str,
    labels: Indices | None = None,
    note: str = "",
) -> Figure:
    """Draw lattices on their image.

    Args:
        image: [H, W], NaN where not measured; it is drawn without its tilt.
        fits: At least one lattice; several if the image has several grains.
        title: Title of the picture.
        labels: The grain of each pixel, [H, W]: their boundaries are drawn; None: unknown.
        note: Sentences with which the caption begins, such as why the lattice is doubtful.

    Raises:
        ValueError: If `image` is not an image.
    """
    heights = as_image(image)
    heights = subtract_plane(heights, np.isfinite(heights))
    strains = np.linalg.eigvalsh(np.concatenate([fit.strain for fit in fits]))
    dilation, shear = strains.mean(1), (strains[:, 1] - strains[:, 0]) / 2
    times = max(1, round(_ARROW * max(heights.shape) / max(_longest(fit) for fit in fits)))
    noise = max(fit.strain_noise for fit in fits)
    caption = note + _CAPTION.format(
        marks=_explain_marks(fits, labels),
        times=f"{times} times as long" if times > 1 else "as long as they are",
        dilation=100 * noise / np.sqrt(2),
        shear=100 * noise,
        drift=_explain_drift(fits, dilation),
    )
    figure = new_figure(11.5, 12.3, title, caption)
    axes = figure.subplots(2, 2)
    _draw_sites(axes[0, 0], heights, fits, times)
    for number in range(len(fits) if labels is not None else 0):
        axes[0, 0].contour(labels == number, [0.5], colors="white", linewidths=1.2)
    _draw_spectrum(axes[0, 1], heights, fits)
    largest = float(np.percentile(np.abs(dilation), 98)) or 1e-6
    limits = (-largest, largest)
    _draw_strain(axes[1, 0], heights, fits, "dilation", dilation, limits, RESIDUAL_COLOURS)
    limits = (0.0, float(np.percentile(shear, 98)) or 1e-6)
    _draw_strain(axes[1, 1], heights, fits, "shear", shear, limits, "viridis")
    for panel in (axes[0, 0], *axes[1]):
        panel.set_xlim(-0.5, heights.shape[1] - 0.5)
        panel.set_ylim(heights.shape[0] - 0.5, -0.5)
        if fits[0].pixel_nm is not None:
            panel.set_aspect(fits[0].pixel_nm[0] / fits[0].pixel_nm[1])
    return figure


def _longest(fit: LatticeFit) -> float:
    """Return the length of the longer lattice vector, px."""
    return float(np.linalg.norm(fit.vectors, axis=1).max())


def _explain_drift(fits: Sequence[LatticeFit], dilation: Array) -> str:
    """Say which share of the dilation changes from row to row only, as drift and creep do.

    Args:
        fits: The lattices.
        dilation: At each site of all lattices, [S].
    """
    rows = np.concatenate([fit.sites[:, 0] for fit in fits])
    bands = np.minimum((_BANDS * (rows - rows.min()) / (np.ptp(rows) or 1)).astype(int), _BANDS - 1)
    counts = np.bincount(bands, minlength=_BANDS)
    if len(dilation) < 4 * _BANDS or dilation.var() == 0:
        return ""
    means = np.bincount(bands, dilation, _BANDS) / np.maximum(counts, 1)
    left = float(((dilation - means[bands]) ** 2).sum() / (len(dilation) - (counts > 0).sum()))
    share = max(0.0, 1 - left / float(dilation.var(ddof=1)))
    return (
        f"{share:.0%} of the variance of the dilation lies between bands of rows: drift and creep "
        "of the scanner look so, strain of the sample rarely."
    )


def _explain_marks(fits: Sequence[LatticeFit], labels: Indices | None) -> str:
    """Say what the marks mean that are drawn on some images only."""
    marks = {
        "Red crosses: empty sites. ": not all(fit.occupied.all() for fit in fits),
        "Yellow pluses: unknown sites. ": any(len(fit.unknown) for fit in fits),
        "White lines: boundaries of grains. ": labels is not None,
    }
    return "".join(words for words, drawn in marks.items() if drawn)


def _draw_strain(
    axes: Axes,
    image: Array,
    fits: Sequence[LatticeFit],
    name: str,
    strain: Array,
    limits: Limits,
    colours: str,
) -> None:
    """Draw a strain at the sites of all lattices on their image.

    Args:
        axes: Where to draw.
        image: [H, W].
        fits: The lattices.
        name: What the strain is.
        strain: Strain at each site of all lattices, [S].
        limits: Ends of the colour scale.
        colours: Colour map.
    """
    draw_image(axes, image, height_limits([image], 1), f"local {name}", "gray")
    places = np.concatenate([fit.sites for fit in fits])
    points = _PANEL_POINTS * np.median([fit.spacing for fit in fits]) / max(image.shape)
    artist = axes.scatter(
        places[:, 1],
        places[:, 0],
        s=min(points, 40.0) ** 2,
        c=100 * strain,
        cmap=colours,
        vmin=100 * limits[0],
        vmax=100 * limits[1],
        linewidths=0,
    )
    axes.figure.colorbar(artist, ax=axes, label=f"{name} (%)", extend="both", shrink=0.8)


def _draw_sites(axes: Axes, image: Array, fits: Sequence[LatticeFit], times: int) -> None:
    """Draw an image with its sites, and ``times`` the vectors of each lattice from a site of it."""
    count = sum(len(fit.sites) for fit in fits)
    empty = sum(int((~fit.occupied).sum()) for fit in fits)
    unknown = sum(len(fit.unknown) for fit in fits)
    words = f"{count} sites, {empty} empty" + (f", {unknown} more unknown" if unknown else "")
    draw_image(axes, image, height_limits([image], 1), words, "gray")
    number = 0
    for fit in fits:
        points = _PANEL_POINTS * fit.spacing / max(image.shape)
        size = float(np.clip(0.5 * points, 2, 9))
        for kind in range(len(fit.basis)):
            atoms = fit.sites[fit.occupied & (fit.kind == kind)]
            colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
            axes.plot(*atoms.T[::-1], marker, mfc="none", mec=colour, ms=size, mew=0.9)
            number += 1
        axes.plot(*fit.sites[~fit.occupied].T[::-1], "x", color="red", ms=size, mew=1.2)
        axes.plot(*fit.unknown.T[::-1], "+", color=_VECTOR_COLOUR, ms=size, mew=1.2)
        long = times * fit.vectors
        # The middle of the drawn arrows lies near the middle of the sites.
        centre = fit.sites.mean(0) - long.sum(0) / 3
        start = fit.sites[np.linalg.norm(fit.sites - centre, axis=1).argmin()]
        for name, vector in zip("ab", long, strict=True):
            _draw_arrow(axes, start, start + vector, _VECTOR_COLOUR, 2.2)
            row, column = start + 1.15 * vector
            text = axes.text(column, row, name, color=_VECTOR_COLOUR, ha="center", va="center")
            text.set_path_effects([withStroke(linewidth=2, foreground="black")])
    pixel = fits[0].pixel_nm
    per_unit, unit = (1.0, "px") if pixel is None else (1 / pixel[1], "nm")
    add_scale_bar(axes, image.shape[1], per_unit, unit)


def _draw_arrow(axes: Axes, start: Array, end: Array, colour: str, width: float) -> None:
    """Draw an arrow between two points (row, column); the width is in points."""
    style = {"arrowstyle": "->", "color": colour, "linewidth": width}
    axes.annotate("", (end[1], end[0]), (start[1], start[0]), arrowprops=style)


def _draw_spectrum(axes: Axes, image: Array, fits: Sequence[LatticeFit]) -> None:
    """Draw the power spectrum with the reciprocal lattice of each fit."""
    power = centred_power(image)
    decibels = 10 * np.log10(np.maximum(power / power.max(), 1e-12))
    unit = "1/px" if fits[0].pixel_nm is None else "1/nm"
    pixel = np.array(fits[0].pixel_nm or (1.0, 1.0))
    height, width = image.shape
    extent = spectrum_extent(height, width, 1 / (height * pixel[0]), 1 / (width * pixel[1]))
    axes.imshow(decibels, cmap="gray", vmin=-60, vmax=-5, extent=extent)
    orders = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 2, indexing="ij"), -1).reshape(-1, 2)
    reach = 0.0
    for number, fit in enumerate(fits):
        colour = _COLOURS[number % len(_COLOURS)]
        reciprocal = np.linalg.inv(fit.vectors).T / pixel
        for vector in reciprocal:
            _draw_arrow(axes, np.zeros(2), vector, colour, 1.5)
        rings = (orders @ reciprocal)[orders.any(1)]
        axes.plot(*rings.T[::-1], "o", mfc="none", mec=colour, ms=9, mew=0.8)
        resolved = 1.2 / (
            fit.spacing * pixel.min()
        )  # a hexagonal lattice has its first peaks beyond 1/spacing
        reach = max(reach, 1.8 * resolved, 1.3 * float(np.linalg.norm(reciprocal, axis=1).max()))
    reach = min(reach, 0.5 / pixel.min())
    axes.set_xlim(-reach, reach)
    axes.set_ylim(reach, -reach)
    axes.set_title("spectrum (dB, -60 to -5)", fontsize=10)
    axes.set_xlabel(f"spatial frequency along a row ({unit})")
    axes.set_ylabel(f"along a column ({unit})")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
