"""A lattice drawn on its image: sites, empty sites, spectrum with lattice vectors, strain."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.spectra import hann_power
from stm_experiments.figures.canvas import (
    CATEGORY_COLOURS,
    RESIDUAL_COLOURS,
    Array,
    add_scale_bar,
    as_image,
    draw_image,
    height_limits,
    new_figure,
)
from stm_experiments.lattice.fit import LatticeFit

_CAPTION = (
    "Circles: atoms, a colour for each place in the cell. Red crosses: empty sites. Arrows: the "
    "lattice vectors. Spectrum: the arrows are the reciprocal vectors, the rings are where the "
    "lattice has its Bragg peaks. Dilation: half the sum of the strains along both axes, against "
    "the mean lattice; shear: half the difference of the largest and the least strain."
)
_COLOURS = [colour for colour in CATEGORY_COLOURS[::-1] if colour != "#000000"]  # dark images


def lattice_map(image: npt.ArrayLike, fits: Sequence[LatticeFit], title: str) -> Figure:
    """Draw lattices on their image.

    Args:
        image: [H, W], NaN where not measured; it is shown without its tilt.
        fits: At least one lattice; several of different grains.
        title: Above the picture.

    Raises:
        ValueError: If the image is none.
    """
    shown = as_image(image)
    shown = subtract_plane(shown, np.isfinite(shown))
    figure = new_figure(11.5, 12.3, title, _CAPTION)
    axes = figure.subplots(2, 2)
    _draw_sites(axes[0, 0], shown, fits)
    _draw_spectrum(axes[0, 1], shown, fits)
    places = np.concatenate([fit.sites for fit in fits])
    strain = np.concatenate([fit.strain for fit in fits])
    spread = np.linalg.eigvalsh(strain)
    dilation, shear = spread.mean(1), (spread[:, 1] - spread[:, 0]) / 2
    limit = float(np.percentile(np.abs(dilation), 98)) or 1e-6
    top = float(np.percentile(shear, 98)) or 1e-6
    for ax, values, ends, colours, name in (
        (axes[1, 0], dilation, (-limit, limit), RESIDUAL_COLOURS, "dilation"),
        (axes[1, 1], shear, (0.0, top), "viridis", "shear"),
    ):
        draw_image(ax, shown, height_limits([shown], 1), f"local {name}", "gray")
        points = 72 * 4.6 * np.median([fit.spacing for fit in fits]) / max(shown.shape)
        artist = ax.scatter(
            places[:, 1],
            places[:, 0],
            s=min(points, 40.0) ** 2,
            c=100 * values,
            cmap=colours,
            vmin=100 * ends[0],
            vmax=100 * ends[1],
            linewidths=0,
        )
        figure.colorbar(artist, ax=ax, label=f"{name} (%)", extend="both", shrink=0.8)
    for ax in (axes[0, 0], *axes[1]):
        ax.set_xlim(-0.5, shown.shape[1] - 0.5)
        ax.set_ylim(shown.shape[0] - 0.5, -0.5)
        if fits[0].pixel_nm is not None:
            ax.set_aspect(fits[0].pixel_nm[0] / fits[0].pixel_nm[1])
    return figure


def _draw_sites(axes: Axes, image: Array, fits: Sequence[LatticeFit]) -> None:
    """The image with its sites, and the vectors of each lattice from one of its sites."""
    count = sum(len(fit.sites) for fit in fits)
    empty = sum(int((~fit.occupied).sum()) for fit in fits)
    draw_image(axes, image, height_limits([image], 1), f"{count} sites, {empty} empty", "gray")
    number = 0
    for fit in fits:
        radius = 72 * 4.6 * fit.spacing / max(image.shape)  # points, of a panel of 4.6 inches
        size = float(np.clip(0.5 * radius, 2, 9))
        for kind in range(len(fit.basis)):
            own = fit.occupied & (fit.kind == kind)
            colour = _COLOURS[number % len(_COLOURS)]
            axes.plot(*fit.sites[own].T[::-1], "o", mfc="none", mec=colour, ms=size, mew=0.7)
            number += 1
        axes.plot(*fit.sites[~fit.occupied].T[::-1], "x", color="red", ms=size, mew=1.2)
        middle = fit.sites.mean(0)
        start = fit.sites[np.linalg.norm(fit.sites - middle, axis=1).argmin()]
        for vector in fit.vectors:
            axes.annotate(
                "",
                (start + vector)[::-1],
                start[::-1],
                arrowprops={"arrowstyle": "->", "color": "#FFD000", "linewidth": 1.6},
            )
    pixel = fits[0].pixel_nm
    per_unit, unit = (1.0, "px") if pixel is None else (1 / pixel[1], "nm")
    add_scale_bar(axes, image.shape[1], per_unit, unit)


def _draw_spectrum(axes: Axes, image: Array, fits: Sequence[LatticeFit]) -> None:
    """The power spectrum with the reciprocal lattice of each fit."""
    power = np.fft.fftshift(hann_power(torch.from_numpy(np.nan_to_num(image))).numpy())
    decibels = 10 * np.log10(np.maximum(power / power.max(), 1e-12))
    height, width = image.shape
    left, top = (-(n // 2) - 0.5 for n in (width, height))
    axes.imshow(
        decibels,
        cmap="gray",
        vmin=-60,
        vmax=-5,
        extent=(left / width, (left + width) / width, (top + height) / height, top / height),
    )
    orders = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 2, indexing="ij"), -1).reshape(-1, 2)
    reach = 0.0
    for number, fit in enumerate(fits):
        colour = _COLOURS[number % len(_COLOURS)]
        reciprocal = np.linalg.inv(fit.vectors).T
        for vector in reciprocal:
            axes.annotate(
                "", vector[::-1], (0, 0), arrowprops={"arrowstyle": "->", "color": colour}
            )
        rings = (orders @ reciprocal)[orders.any(1)]
        axes.plot(*rings.T[::-1], "o", mfc="none", mec=colour, ms=9, mew=0.8)
        resolved = 1.2 / fit.spacing  # of a hexagonal lattice the first peaks are beyond 1/spacing
        reach = max(reach, 1.8 * resolved, 1.3 * float(np.linalg.norm(reciprocal, axis=1).max()))
    reach = min(reach, 0.5)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(reach, -reach)
    axes.set_title("spectrum (dB, -60 to -5)", fontsize=10)
    axes.set_xlabel("spatial frequency along a row (1/px)")
    axes.set_ylabel("along a column (1/px)")
