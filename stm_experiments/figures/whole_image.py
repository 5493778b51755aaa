"""A whole image before and after a network."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    LARGEST,
    MARK_COLOUR,
    NARROWEST,
    RESIDUAL_COLOURS,
    ArrayOrTensor,
    Limits,
    as_image,
    centred_power,
    clipped_ends,
    draw_image,
    height_limits,
    middle,
    quantity,
    set_scale,
    shrink,
)
from stm_experiments.figures.panels import Row, add_colour_bar, largest_width, place_panels
from stm_experiments.figures.scans.spectrum import decibels, draw_decibels
from stm_experiments.figures.style import style
from stm_experiments.restoration.residual import measure_residual
from stm_experiments.restoration.whole_atoms import UncertainAtoms

POWER = "power (dB, 0: strongest before)"
WIDE, TALL = 0.4, 1.7  # height over width: below it panels lie below each other, above it three
LOWEST_PANEL, HIGHEST_PANEL, STRETCHED = 1.6, 7.0, 2.4  # in
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
    caption = _caption(images, step, measure_residual(*middles).sentence(unit))
    marks = uncertain_atoms if uncertain_atoms and _is_readable(uncertain_atoms) else None
    if uncertain_atoms:
        caption += _atoms_caption(uncertain_atoms)
    figure, places = place_panels(_rows(len(panels), aspect), title, caption)
    spectra = places[len(panels) :]
    for axes, panel in zip(places, panels, strict=False):
        _draw_panel(axes, panel, pixel, step)
    if marks:
        _mark_atoms(places[1], marks, step)
    if len(spectra) == 2:
        _draw_both_spectra(spectra, middles, pixel)
    else:
        _draw_halves(spectra[0], *middles, pixel)
    return figure


def _rows(count: int, aspect: float) -> list[Row]:
    """Return the rows of image panels, all equally large, and of the spectrum or both spectra.

    Args:
        count: Number of images.
        aspect: Height over width of an image.
    """
    columns = 1 if aspect < WIDE else 2 if aspect < TALL else 3
    width = largest_width(columns)
    height = float(np.clip(width * aspect, LOWEST_PANEL, HIGHEST_PANEL))
    if 1 / NARROWEST < aspect < NARROWEST:
        width = min(width, height / aspect)
    else:  # stretched
        height = max(height, STRETCHED)
    numbers = [min(columns, count - first) for first in range(0, count, columns)]
    rows = [Row(number, width, height) for number in numbers]
    side = min(largest_width(2), 4.0)
    if numbers[-1] == 1 and columns == 2:  # the spectrum fills the last row
        rows[-1] = Row(2, width, max(height, 2.6), has_axis=True)
        return rows
    return [*rows, Row(1 if count == 3 else 2, side, side, has_axis=True)]


def _scaled_panels(images: dict[str, Array], unit: str) -> list[ImagePanel]:
    """Return the images and their residual in a fitting unit.

    Args:
        images: [H, W] each: "before", "after", and "clean" or "uncertainty" if there are any.
        unit: Their unit.
    """
    limits = height_limits([images["before"], images["after"]], clip_percent=0.5)
    scale = quantity(limits, unit)
    limits = scale.ends(limits)
    first, last = (scale.of(images[name]) for name in ("before", "after"))
    residual = last - first
    largest = height_limits([np.abs(residual)], clip_percent=0.5)[1]
    ends = (-largest, largest)
    label = scale.label
    change = f"change of {scale.difference}"
    panels = [
        ImagePanel("before", first, limits, style().colormap, label),
        ImagePanel("after", last, limits, style().colormap, label),
        ImagePanel("residual (after - before)", residual, ends, RESIDUAL_COLOURS, change),
    ]
    if "clean" in images:
        clean = scale.of(images["clean"])
        name = "clean, scaled to before"
        panels.append(ImagePanel(name, clean, limits, style().colormap, label))
    if "uncertainty" in images:
        uncertainty = images["uncertainty"] / scale.factor
        ends = (0.0, height_limits([uncertainty], clip_percent=0.5)[1])
        label = f"uncertainty of {scale.difference}"
        panels.append(ImagePanel("uncertainty of after", uncertainty, ends, "viridis", label))
    return panels


def _draw_panel(axes: Axes, panel: ImagePanel, pixel: PixelSize | None, step: int) -> None:
    """Draw an image, each px of it ``step`` px wide, with its scale bar and colour bar."""
    artist = draw_image(axes, panel.image, panel.limits, panel.title, panel.colours)
    set_scale(axes, panel.image.shape[1], pixel, step)
    extend = clipped_ends([panel.image], panel.limits)
    add_colour_bar(axes, artist, panel.label, extend)


def _caption(images: dict[str, Array], step: int, residual: str) -> str:
    """Return the text below the picture of images by name, each px of them ``step`` px wide."""
    caption = (
        "Bright: high. Residual: after minus before, what the reconstruction took away or put in. "
        "Spectrum: power of the Fourier transform, whose two halves are symmetric; bright spots "
        f"are the lattice.\n{residual}"
    )
    if np.isnan(images["before"]).any():
        caption += " Hatched: not measured."
    if step > 1:
        caption += (
            f" Large image: a px of the picture is the mean of {step} x {step} px, which weakens "
            f"the noise; the spectrum and the measures of the residual are "
            f"those of at most {LARGEST} px in the middle."
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
            f" Atoms: {len(atoms.invented)} of {atoms.certain + len(atoms.invented)} may be none, "
            f"and {len(atoms.lost)} may be missing: too many to be marked."
        )
    caption = " Circles: maxima that may be no atoms." if len(atoms.invented) else ""
    if len(atoms.lost):
        caption += " Crosses: places where an atom may be missing."
    return caption


def _mark_atoms(axes: Axes, atoms: UncertainAtoms, step: int) -> None:
    """Mark uncertain atoms in an image, each px of it ``step`` px wide."""
    for places, marker in ((atoms.invented, "o"), (atoms.lost, "x")):
        rows, columns = ((places + 0.5) / step - 0.5).T
        axes.plot(
            columns, rows, marker, color=MARK_COLOUR, fillstyle="none", markersize=5, linestyle=""
        )


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
        artist = draw_decibels(axes, values, pixel)
        # What is empty after the network is worth seeing as well.
        axes.set(xlim=places[0].get_xlim(), ylim=places[0].get_ylim())
        axes.set_title(f"spectrum {name}", fontsize=10)
        add_colour_bar(axes, artist, POWER, "min")


def _draw_halves(axes: Axes, before: Array, after: Array, pixel: PixelSize | None) -> None:
    """Draw the power spectra of two images [H, W], left half before and right half after."""
    parts = _spectra(before, after)
    width = before.shape[1]
    both = np.where(np.arange(width) < width // 2, *parts)
    artist = draw_decibels(axes, both, pixel, parts[0])
    step_x = 1 / (width * (pixel.width if pixel else 1.0))
    axes.axvline(-0.5 * step_x, color=MARK_COLOUR, linewidth=0.8, linestyle=":")
    axes.set_title("spectrum: left half before, right half after", fontsize=10)
    add_colour_bar(axes, artist, POWER, "min")
