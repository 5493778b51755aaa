"""Reconstructions: patches before and after training (paper: Figure 13), and whole images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from skimage.metrics import structural_similarity

from stm_experiments.figures.canvas import (
    RESIDUAL_COLOURS,
    TOPOGRAPH_COLOURS,
    Array,
    ArrayOrTensor,
    add_scale_bar,
    as_image,
    as_patches,
    clipped_ends,
    draw_image,
    height_limits,
    new_figure,
    wrapped,
)

_QUANTITIES = {"m": "height", "A": "current", "V": "voltage", "": "height"}
_PREFIXES = ((1e-12, "p"), (1e-9, "n"), (1e-6, "µ"), (1e-3, "m"), (1.0, ""))


def reconstruction_grid(
    noisy: ArrayOrTensor,
    clean: ArrayOrTensor | None,
    first: ArrayOrTensor | None,
    final: ArrayOrTensor,
    labels: Sequence[str],
    title: str = "Patches and their reconstructions",
    most: int = 8,
) -> Figure:
    """Draw patches, their reconstructions and what is left, one row per patch (Figure 13).

    Under each panel stand its mean squared error and SSIM (scikit-image, 7x7 uniform window,
    data_range 2) against the noisy patch and, where there is one, the clean patch.

    Args:
        noisy: [B,1,h,w] on [-1, 1], the network's input; h, w >= 7 px.
        clean: [B,1,h,w], the same without noise, or None.
        first: [B,1,h,w], reconstruction after the first epoch, or None.
        final: [B,1,h,w], reconstruction by the trained network.
        labels: One per patch, e.g. the lattice's name.
        title: Title of the picture.
        most: How many patches are shown: the first ones.

    Raises:
        ValueError: If the shapes or the number of labels differ.
    """
    given = {
        "noisy (input)": noisy,
        "clean": clean,
        "first epoch": first,
        "final": final,
    }
    panels = {name: as_patches(patches) for name, patches in given.items() if patches is not None}
    source = panels["noisy (input)"]
    if any(patches.shape != source.shape for patches in panels.values()):
        raise ValueError(f"shapes differ: {[list(patches.shape) for patches in panels.values()]}")
    if len(labels) != len(source):
        raise ValueError(f"got {len(source)} patches and {len(labels)} labels")
    total = len(source)
    panels = {name: patches[:most] for name, patches in panels.items()}
    residual = panels["final"] - panels["noisy (input)"]

    rows, columns = len(residual), len(panels) + 1
    caption = (
        "MSE (0 is best) and SSIM (1 is best) compare a panel with the noisy patch and, where "
        "known, the clean one. Residual: final minus noisy; a perfect denoiser leaves only noise."
    )
    if total > rows:
        caption += f" The first {rows} of {total} patches are shown."
    figure = new_figure(2.3 * columns + 0.5, 2.65 * rows + 1.9, title, caption, packed=True)
    grid = figure.subplots(rows, columns, squeeze=False)
    limits = height_limits([panels[name] for name in panels if name != "first epoch"])
    largest = height_limits([np.abs(residual)])[1]
    for row, label in zip(grid, labels, strict=False):
        row[0].set_ylabel(wrapped(label, 18), fontsize=10)
    for column, (name, patches) in enumerate(panels.items()):
        for axes, index in zip(grid[:, column], range(rows), strict=True):
            artist = draw_image(axes, patches[index], limits, name if index == 0 else "")
            others = {"noisy": source[index]}
            if "clean" in panels:
                others["clean"] = panels["clean"][index]
            axes.set_xlabel(_scores(name, patches[index], others), fontsize=8)
    for axes, difference in zip(grid[:, -1], residual, strict=True):
        heading = "residual" if axes is grid[0, -1] else ""
        left = draw_image(axes, difference, (-largest, largest), heading, RESIDUAL_COLOURS)
        axes.set_xlabel(f"rms {np.sqrt(np.mean(difference**2)):.4f}", fontsize=8)
    bar = figure.colorbar(
        artist,
        ax=grid[:, :-1],
        location="bottom",
        shrink=0.5,
        aspect=40,
        extend=clipped_ends(panels.values(), limits),
    )
    bar.set_label("height (normalised, the image spans -1 to 1)")
    bar.ax.xaxis.set_major_locator(MaxNLocator(5))
    bar = figure.colorbar(left, ax=grid[:, -1], location="bottom", aspect=12)
    bar.set_label("residual")
    bar.ax.xaxis.set_major_locator(MaxNLocator(3, symmetric=True))
    return figure


def _scores(name: str, patch: Array, others: dict[str, Array]) -> str:
    """Return a line of MSE and SSIM of a patch [h,w] against each other one, but not itself."""
    lines = []
    for other, reference in others.items():
        if name.startswith(other) or name == "clean":
            continue
        mse = np.mean((patch - reference) ** 2)
        ssim = structural_similarity(patch, reference, data_range=2, win_size=7)
        lines.append(f"vs {other}: MSE {mse:.4f}, SSIM {ssim:.3f}")
    return "\n".join(lines)


def whole_image(
    before: ArrayOrTensor,
    after: ArrayOrTensor,
    unit: str,
    pixel_nm: float | None,
    title: str,
) -> Figure:
    """Draw a whole image before and after reconstruction, the difference, and both spectra.

    Colours leave out half a percent of the pixels at each end, so that a scar does not take all
    contrast; pointed ends of the colour bar show where that happened. Lengths (unit "m") are drawn
    relative to the lowest shown height, in nm, pm, ...: an STM's absolute height has no meaning.

    Args:
        before: [H,W] in `unit`. NaN: pixels that were not scanned.
        after: [H,W] in `unit`.
        unit: "m", "A", "V" get the fitting SI prefix; "": arbitrary units; others are
            shown as they are.
        pixel_nm: Size of a px in nm; None: lengths are shown in px.
        title: Name of the image.

    Raises:
        ValueError: If the shapes differ or `pixel_nm` is not positive.
    """
    first, last = as_image(before), as_image(after)
    if first.shape != last.shape:
        raise ValueError(f"shapes differ: {list(first.shape)} and {list(last.shape)}")
    limits = height_limits([first, last], clip_percent=0.5)
    if unit == "m":
        first, last = first - limits[0], last - limits[0]
        limits = (0.0, limits[1] - limits[0])
    factor, scaled_unit = _si_unit(max(map(abs, limits)), unit)
    first, last = first / factor, last / factor
    limits = (limits[0] / factor, limits[1] / factor)
    residual = last - first
    largest = height_limits([np.abs(residual)], clip_percent=0.5)[1]

    quantity = _QUANTITIES.get(unit, "value")
    label = f"{quantity} ({scaled_unit or 'arb. units'})"
    height, width = first.shape
    caption = (
        "Bright: high. Residual: after minus before, what the reconstruction changed; it should "
        "look like noise. Spectrum: power of the Fourier transform (one half tells "
        "all of it); bright spots are the lattice."
    )
    top = min(4.5 * height / width, 6.5)  # inches
    bottom = max(top, 3.3)  # the spectrum is about square, whatever the image is
    figure = new_figure(11.5, top + bottom + 2.3, title, caption, packed=True)
    grid = figure.subplots(2, 2, height_ratios=[top, bottom])
    shown = (
        (grid[0, 0], first, limits, "before", TOPOGRAPH_COLOURS, label),
        (grid[0, 1], last, limits, "after", TOPOGRAPH_COLOURS, label),
        (
            grid[1, 0],
            residual,
            (-largest, largest),
            "residual (after - before)",
            RESIDUAL_COLOURS,
            f"change of {label}",
        ),
    )
    for axes, image, ends, name, colours, text in shown:
        artist = draw_image(axes, image, ends, name, colours)
        add_scale_bar(
            axes,
            width,
            1.0 if pixel_nm is None else 1 / pixel_nm,
            "px" if pixel_nm is None else "nm",
        )
        figure.colorbar(artist, ax=axes, label=text, extend=clipped_ends([image], ends), shrink=0.9)
    spectrum = _draw_spectra(grid[1, 1], first, last, pixel_nm)
    figure.colorbar(
        spectrum,
        ax=grid[1, 1],
        label="power (dB, 0: strongest before)",
        extend="min",
        shrink=0.9,
    )
    return figure


def _si_unit(largest: float, unit: str) -> tuple[float, str]:
    """Return the factor and the unit that show `largest` as a number from 1 to 1000."""
    if unit not in ("m", "A", "V") or largest == 0:
        return 1.0, unit
    fitting = [(factor, prefix) for factor, prefix in _PREFIXES if largest >= factor]
    factor, prefix = fitting[-1] if fitting else _PREFIXES[0]
    return factor, prefix + unit


def _draw_spectra(axes: Axes, before: Array, after: Array, pixel_nm: float | None) -> AxesImage:
    """Draw the power spectra of two [H,W] images, left half before and right half after."""
    power = [_power(image) for image in (before, after)]
    strongest = power[0].max() or 1.0
    decibels = [10 * np.log10(np.maximum(part / strongest, 1e-15)) for part in power]
    height, width = before.shape
    both = np.where(np.arange(width) < width // 2, *decibels)
    # fftshift puts frequency 0 on column width // 2; a px of the spectrum is 1 / (size * pixel).
    pixel = 1.0 if pixel_nm is None else pixel_nm
    step_x, step_y = 1 / (width * pixel), 1 / (height * pixel)
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
    axes.axvline(-0.5 * step_x, color="#00E5FF", linewidth=0.8, linestyle=":")
    axes.set_title("spectrum: left half before, right half after", fontsize=10)
    unit = "1/px" if pixel_nm is None else "1/nm"
    axes.set_xlabel(f"spatial frequency along a row ({unit})")
    axes.set_ylabel(f"along a column ({unit})")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return artist


def _power(image: Array) -> Array:
    """Return the centred power spectrum [H,W] of an image without its mean.

    A Hann window keeps the frame's edges from drawing a bright cross; pixels that were not scanned
    count as the mean.
    """
    known = np.isfinite(image)
    if not known.any():
        return np.zeros(image.shape)
    flat = np.where(known, image - image[known].mean(), 0.0)
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    spectrum: Array = np.abs(np.fft.fftshift(np.fft.fft2(flat * window))) ** 2
    return spectrum
