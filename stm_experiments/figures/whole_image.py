"""A whole image before and after a network."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stm_experiments.core.arrays import Array
from stm_experiments.core.units import fitting_unit
from stm_experiments.figures.canvas import (
    LARGEST,
    MARK_COLOUR,
    NARROWEST,
    RESIDUAL_COLOURS,
    TOPOGRAPH_COLOURS,
    ArrayOrTensor,
    Limits,
    as_image,
    centred_power,
    clipped_ends,
    draw_image,
    height_limits,
    middle,
    new_figure,
    quantity_label,
    set_scale,
    shrink,
)
from stm_experiments.figures.scans.spectrum import decibels, draw_decibels
from stm_experiments.restoration.whole_atoms import UncertainAtoms

POWER = "power (dB, 0: strongest before)"
INSIDE = 97.0  # percent of the noticeable frequencies that a spectrum shows
_MOST_MARKS = 400  # of uncertain atoms in a picture


class PixelSize(NamedTuple):
    """The size of a px along axes 0 and 1, nm."""

    height: float
    width: float


class ImagePanel(NamedTuple):
    """An image [H, W] with the limits, colours and label of its colour bar."""

    title: str
    image: Array
    limits: Limits
    colours: str
    label: str


def whole_image(
    before: ArrayOrTensor,
    after: ArrayOrTensor,
    unit: str,
    pixel_nm: float | tuple[float, float] | None,
    title: str,
    *,
    clean: ArrayOrTensor | None = None,
    uncertainty: ArrayOrTensor | None = None,
    uncertain_atoms: UncertainAtoms | None = None,
) -> Figure:
    """Draw a whole image before and after reconstruction, the difference, and both spectra.

    Half a percent of the pixels at each end lies beyond the colour scale, so that a scar does not
    take all contrast; pointed ends of the colour bar show it. Lengths (unit "m") are drawn relative
    to the lowest height of the scale, in nm, pm, ...: an STM's absolute height has no meaning.

    Args:
        before: [H, W] in `unit`. NaN: pixels that were not measured, hatched.
        after: [H, W] in `unit`.
        unit: "m", "A", "V" get the fitting SI prefix; "": arbitrary units; others stay as they are.
        pixel_nm: Size of a px in nm, along axes 0 and 1 if they differ; None: unknown, and lengths
            are in px.
        title: Name of the image.
        clean: [H, W] in `unit`: the image without noise, if known.
        uncertainty: [H, W] in `unit`, of `after`.
        uncertain_atoms: Of `after`; marked in its panel, unless most atoms are uncertain.

    Raises:
        ValueError: If the shapes differ or `pixel_nm` is not positive.
    """
    candidates = {"before": before, "after": after, "clean": clean, "uncertainty": uncertainty}
    images = {name: as_image(image) for name, image in candidates.items() if image is not None}
    if any(image.shape != images["before"].shape for image in images.values()):
        raise ValueError(f"shapes differ: {[list(image.shape) for image in images.values()]}")
    pixel = PixelSize(pixel_nm, pixel_nm) if isinstance(pixel_nm, int | float) else pixel_nm
    pixel = None if pixel is None else PixelSize(*pixel)
    height, width = images["before"].shape
    middles = (middle(images["before"]), middle(images["after"]))
    shrunk = {name: shrink(image) for name, image in images.items()}
    step = shrunk["before"].step
    images = {name: image for name, (image, _) in shrunk.items()}
    panels = _scaled_panels(images, unit)

    aspect = height / width if pixel is None else height * pixel.height / (width * pixel.width)
    # In inches; an image that is stretched needs room for its labels.
    image_height = min(4.5 * aspect, 6.5) if aspect > 1 / NARROWEST else 2.4
    spectrum_height = max(image_height, 3.3)  # a spectrum is about square
    heights = [image_height, spectrum_height, image_height][: 2 + (len(panels) > 3)]
    if len(panels) == 4:  # both spectra have room
        heights = [image_height, image_height, spectrum_height]
    caption = _caption(images, step)
    marks = uncertain_atoms if uncertain_atoms and _is_readable(uncertain_atoms) else None
    if uncertain_atoms:
        caption += _atoms_caption(uncertain_atoms)
    figure = new_figure(11.5, sum(heights) + 2.3, title, caption, packed=True)
    grid = figure.subplots(len(heights), 2, height_ratios=heights).ravel()
    places = grid[:4] if len(panels) == 4 else [*grid[:3], *grid[4:]]
    for axes, panel in zip(places, panels, strict=False):
        _draw_panel(axes, panel, pixel, step)
    if marks:
        _mark_atoms(places[1], marks, step)
    if len(panels) == 4:
        _draw_both_spectra(grid[4:], middles, pixel)
    else:
        _draw_halves(grid[3], *middles, pixel)
    return figure


def _scaled_panels(images: dict[str, Array], unit: str) -> list[ImagePanel]:
    """Return the images and their residual in a fitting unit.

    Args:
        images: [H, W] each: "before", "after", and "clean" or "uncertainty" if there are any.
        unit: Their unit.
    """
    limits = height_limits([images["before"], images["after"]], clip_percent=0.5)
    shift = limits[0] if unit == "m" else 0.0
    factor, scaled_unit = fitting_unit(max(abs(end - shift) for end in limits), unit, smallest=-4)
    limits = ((limits[0] - shift) / factor, (limits[1] - shift) / factor)
    first, last = ((images[name] - shift) / factor for name in ("before", "after"))
    residual = last - first
    largest = height_limits([np.abs(residual)], clip_percent=0.5)[1]
    ends = (-largest, largest)
    label = quantity_label(unit, scaled_unit)
    change = f"change of {label}"
    panels = [
        ImagePanel("before", first, limits, TOPOGRAPH_COLOURS, label),
        ImagePanel("after", last, limits, TOPOGRAPH_COLOURS, label),
        ImagePanel("residual (after - before)", residual, ends, RESIDUAL_COLOURS, change),
    ]
    if "clean" in images:
        clean = (images["clean"] - shift) / factor
        name = "clean, scaled to before"
        panels.append(ImagePanel(name, clean, limits, TOPOGRAPH_COLOURS, label))
    if "uncertainty" in images:
        uncertainty = images["uncertainty"] / factor
        ends = (0.0, height_limits([uncertainty], clip_percent=0.5)[1])
        label = f"uncertainty of {label}"
        panels.append(ImagePanel("uncertainty of after", uncertainty, ends, "viridis", label))
    return panels


def _draw_panel(axes: Axes, panel: ImagePanel, pixel: PixelSize | None, step: int) -> None:
    """Draw an image, each px of it ``step`` px wide, with its scale bar and colour bar."""
    artist = draw_image(axes, panel.image, panel.limits, panel.title, panel.colours)
    _hatch_gaps(axes, panel.image)
    set_scale(axes, panel.image.shape[1], pixel, step)
    extend = clipped_ends([panel.image], panel.limits)
    axes.figure.colorbar(artist, ax=axes, label=panel.label, extend=extend, shrink=0.9)


def _caption(images: dict[str, Array], step: int) -> str:
    """Return the text below the picture of images by name, each px of them ``step`` px wide."""
    caption = (
        "Bright: high. Residual: after minus before, the change by the reconstruction; it should "
        "look like noise. Spectrum: power of the Fourier transform, whose two halves are "
        "symmetric; bright spots are the lattice."
    )
    if np.isnan(images["before"]).any():
        caption += " Hatched: not measured."
    if step > 1:
        caption += (
            f" Large image: a px of the picture is the mean of {step} x {step} px, which weakens "
            f"the noise; the spectrum is that of at most {LARGEST} px in the middle."
        )
    if "uncertainty" in images:
        caption += (
            " Uncertainty: one standard deviation of the error that is expected, as the denoiser "
            "states it; for a network that states none, how its result changes in mirrored images."
        )
    return caption


def _is_readable(atoms: UncertainAtoms) -> bool:
    """Return whether marks of the uncertain atoms leave the picture readable."""
    return len(atoms.invented) + len(atoms.lost) <= min(_MOST_MARKS, atoms.certain)


def _atoms_caption(atoms: UncertainAtoms) -> str:
    """Say what the marks of uncertain atoms mean, or why they are not drawn."""
    if not _is_readable(atoms):
        return (
            f" Atoms: {len(atoms.invented)} of {atoms.certain + len(atoms.invented)} may be "
            f"invented, {len(atoms.lost)} lost: too many to be marked."
        )
    caption = " Circles: atoms that may be invented." if len(atoms.invented) else ""
    if len(atoms.lost):
        caption += " Crosses: places where an atom may be lost."
    return caption


def _mark_atoms(axes: Axes, atoms: UncertainAtoms, step: int) -> None:
    """Mark uncertain atoms in an image, each px of it ``step`` px wide."""
    for places, marker in ((atoms.invented, "o"), (atoms.lost, "x")):
        rows, columns = ((places + 0.5) / step - 0.5).T
        axes.plot(
            columns, rows, marker, color=MARK_COLOUR, fillstyle="none", markersize=5, linestyle=""
        )


def _hatch_gaps(axes: Axes, image: Array) -> None:
    """Hatch the pixels that are NaN: imshow leaves them transparent."""
    if np.isnan(image).any():
        gaps = Rectangle((0, 0), 1, 1, transform=axes.transAxes, zorder=-1)
        gaps.set(facecolor="0.75", edgecolor="0.5", hatch="////", linewidth=0)
        axes.add_patch(gaps)


def _spectra(before: Array, after: Array) -> list[Array]:
    """Return the power spectra of two images [H, W] in dB of the strongest power before."""
    power = [centred_power(image) for image in (before, after)]
    strongest = float(power[0].max()) or 1.0
    return [decibels(part, strongest) for part in power]


def _draw_both_spectra(
    places: Sequence[Axes], images: tuple[Array, Array], pixel: PixelSize | None
) -> None:
    """Draw the power spectra of two images [H, W] side by side."""
    for axes, values, name in zip(places, _spectra(*images), ("before", "after"), strict=True):
        artist = draw_decibels(axes, values, pixel, INSIDE)
        # What is empty after the network is worth seeing as well.
        axes.set(xlim=places[0].get_xlim(), ylim=places[0].get_ylim())
        axes.set_title(f"spectrum {name}", fontsize=10)
        axes.figure.colorbar(artist, ax=axes, label=POWER, extend="min", shrink=0.9)


def _draw_halves(axes: Axes, before: Array, after: Array, pixel: PixelSize | None) -> None:
    """Draw the power spectra of two images [H, W], left half before and right half after."""
    parts = _spectra(before, after)
    width = before.shape[1]
    both = np.where(np.arange(width) < width // 2, *parts)
    artist = draw_decibels(axes, both, pixel, INSIDE)
    step_x = 1 / (width * (pixel.width if pixel else 1.0))
    axes.axvline(-0.5 * step_x, color=MARK_COLOUR, linewidth=0.8, linestyle=":")
    axes.set_title("spectrum: left half before, right half after", fontsize=10)
    axes.figure.colorbar(artist, ax=axes, label=POWER, extend="min", shrink=0.9)
