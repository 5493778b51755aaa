"""The parts that all pictures share: colours, title, caption, images with scale bars, saving.

Pictures are built through matplotlib's object-oriented interface, without pyplot and its global
state: worker threads can draw them, and no figure stays open.
"""

import logging
import math
import textwrap
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from stm_experiments.core.arrays import Array
from stm_experiments.core.files import atomic_write
from stm_experiments.core.units import amount, fitting_unit
from stm_experiments.figures.style import style

ArrayOrTensor = npt.ArrayLike  # a tensor gives an array, too
Limits = tuple[float, float]

RESIDUAL_COLOURS = "RdBu_r"  # diverging, white at zero, safe for the colour-blind
# The palette of Okabe and Ito without its yellow, which is hard to see on white.
CATEGORY_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
CATEGORY_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")  # one more than colours
MARK_COLOUR = "#00E5FF"  # not contained in the usual colours of topographs
HEIGHT_LABEL = "height (arbitrary units)"
_FAR = 10  # offset above which values count from the lowest, ranges
_FEW_DIGITS = (-3, 4)  # powers of ten whose numbers are short
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_QUANTITIES = {"m": "height", "A": "current", "V": "voltage", "": "intensity"}
DPI = 150
VECTOR_DPI = 300  # of the images within SVG and PDF files
PNG = {"compress_level": 3}  # a quarter faster than the default 6, and 4 % larger
# Texts stay texts, which can be edited; no dates, so that equal pictures are equal files.
_TEXTS: Any = {"svg.fonttype": "none", "svg.hashsalt": "stm_experiments", "pdf.fonttype": 42}
_NO_DATE = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
logging.getLogger("fontTools").setLevel(logging.WARNING)  # a hundred lines about each PDF's fonts
_settings_lock = threading.Lock()  # matplotlib's settings are those of all threads
NARROWEST = 6.0  # ratio of the sides of an image above which it fills its panel, not to scale
LARGEST = 1024  # px, side of an image that is drawn as it is
SMALLEST = 64  # px, side of an image that the page is allowed to interpolate


class CategoryStyle(NamedTuple):
    """Colour and marker of a category: categories differ in more than their colour."""

    colour: str
    marker: str


def category(number: int) -> CategoryStyle:
    """Return the style of a category; the first 56 differ, neighbours in colour and in marker."""
    return CategoryStyle(
        CATEGORY_COLOURS[number % len(CATEGORY_COLOURS)],
        CATEGORY_MARKERS[number % len(CATEGORY_MARKERS)],
    )


def new_figure(
    width: float, height: float, title: str, caption: str = "", *, packed: bool = False
) -> Figure:
    """Return an empty figure whose title and caption are wrapped to its width.

    Args:
        width: Width in inches. 12 or less keeps the text readable on a page of 1200 px.
        height: Height in inches.
        title: Bold line(s) above the picture.
        caption: Small text below the picture: what a reader needs to understand it.
        packed: Whether to close the gaps between images, whose aspect ratios are fixed.
    """
    layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08, compress=packed)
    figure = Figure(figsize=(width, height), layout=layout)
    add_title(figure, width, title)
    if caption:
        add_caption(figure, width, caption)
    return figure


def add_title(figure: Figure, width: float, title: str) -> Text:
    """Write a title above a figure, wrapped to its width in inches."""
    return figure.suptitle(wrapped(title, int(width * 8.5)), fontsize=13, fontweight="bold")


def add_caption(figure: Figure, width: float, caption: str) -> Text:
    """Write a caption below a figure, wrapped to its width in inches."""
    return figure.supxlabel(wrapped(caption, int(width * 13)), fontsize=9, color="0.25")


def wrapped(text: str, characters: int) -> str:
    """Break a text into lines; dollar signs, as in file names, are shown and not parsed."""
    lines = [
        textwrap.fill(line, max(characters, 8), break_on_hyphens=False)
        for line in text.splitlines()
    ]
    return "\n".join(lines).replace("$", r"\$")


def as_array(values: ArrayOrTensor) -> Array:
    """Return a tensor of any device and type, an array or a list as a float64 array."""
    if hasattr(values, "detach"):  # torch, whose import takes seconds, is not needed to draw
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def as_image(values: ArrayOrTensor) -> Array:
    """Return [H, W] or [1, H, W] as an array [H, W] in which infinite pixels are NaN.

    Raises:
        ValueError: If the shape is another one.
    """
    image = as_array(values)
    if image.ndim == 3 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"expected an image [H, W], got the shape {list(image.shape)}")
    infinite = np.isinf(image)
    return np.where(infinite, np.nan, image) if infinite.any() else image


class Shrunk(NamedTuple):
    """A large image for a picture of a few hundred px.

    Attributes:
        image: Means of blocks of step x step px without the pixels that are NaN, [h, w].
        step: Side of a block, px; 1: the image itself.
    """

    image: Array
    step: int


def shrink(image: Array, largest: int = LARGEST) -> Shrunk:
    """Return the means of the blocks of an image [H, W] that bring its sides to some px at most.

    A picture then needs little memory, and a lattice gives no moire with its px.
    """
    step = -(-max(image.shape) // largest)
    if step == 1:
        return Shrunk(image, 1)
    bands = [
        _block_means(image[start : start + step], step) for start in range(0, len(image), step)
    ]
    return Shrunk(np.stack(bands), step)


def _block_means(band: Array, step: int) -> Array:
    """Return the means of the blocks of a band [step, W] without NaN, [W / step], rounded up."""
    measured = np.isfinite(band)
    starts = range(0, band.shape[1], step)
    sums = np.add.reduceat(np.where(measured, band, 0.0).sum(0), starts)
    counts = np.add.reduceat(measured.sum(0), starts)
    means = np.full(len(starts), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def middle(image: Array, largest: int = LARGEST) -> Array:
    """Return the middle of an image [H, W], of some px at most along each side."""
    starts = [max(0, (side - largest) // 2) for side in image.shape]
    rows, columns = (slice(start, start + largest) for start in starts)
    return image[rows, columns]


def as_patches(values: ArrayOrTensor) -> Array:
    """Return [B, 1, h, w] or [B, h, w] as an array [B, h, w].

    Raises:
        ValueError: If the shape is another one.
    """
    patches = as_array(values)
    if patches.ndim == 4 and patches.shape[1] == 1:
        patches = patches[:, 0]
    if patches.ndim != 3 or patches.size == 0:
        raise ValueError(f"expected patches [B, 1, h, w], got the shape {list(patches.shape)}")
    return patches


def height_limits(images: Iterable[Array], clip_percent: float = 0.0) -> Limits:
    """Return the colour limits shared by several images.

    Args:
        images: Arrays of any shape; NaN and infinite pixels are left out.
        clip_percent: Percentage of the pixels beyond each end. A small value keeps a single scar
            from reducing the contrast of a whole scan.
    """
    values = np.concatenate([np.ravel(image) for image in images])
    values = values[np.isfinite(values)]
    if values.size == 0:  # a diverged network: the picture stays blank
        return 0.0, 1.0
    low, high = np.percentile(values, [clip_percent, 100 - clip_percent])
    if low == high:
        low, high = low - (0.5 * abs(low) or 0.5), high + (0.5 * abs(high) or 0.5)
    return float(low), float(high)


def clipped_ends(images: Iterable[Array], limits: Limits) -> str:
    """Return the ends of a colour bar beyond which pixels lie, as matplotlib's `extend`."""
    arrays = list(images)
    below = any(bool(np.any(image < limits[0])) for image in arrays)
    above = any(bool(np.any(image > limits[1])) for image in arrays)
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]


def draw_image(
    axes: Axes, image: Array, limits: Limits, title: str, colours: str | None = None
) -> AxesImage:
    """Show an image [H, W] without ticks: row 0 on top, one data unit per px.

    An image of few rows or columns is drawn as it is: between them nothing was measured. Pixels
    that are NaN are hatched.

    Args:
        axes: Empty.
        image: NaN where not measured.
        limits: Ends of the colours.
        title: Of the panel.
        colours: A colour map; None: that of topographs.
    """
    colours = colours or style().colormap
    smooth = None if min(image.shape) >= SMALLEST else "nearest"
    artist = axes.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation=smooth)
    if np.isnan(image).any():  # imshow leaves them transparent
        gaps = Rectangle((0, 0), 1, 1, transform=axes.transAxes, zorder=-1)
        gaps.set(facecolor="0.75", edgecolor="0.5", hatch="////", linewidth=0)
        axes.add_patch(gaps)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)
    return artist


def add_scale_bar(
    axes: Axes, image_width: int, pixels_per_unit: float, unit: str, aspect: float = 1.0
) -> None:
    """Draw a bar of 1, 2 or 5 x 10^k units, at most 35 % of the image's width.

    Args:
        axes: Holds an image whose data unit is one px.
        image_width: The image's width in px.
        pixels_per_unit: Length of the unit in px, such as the lattice constant.
        unit: The unit's symbol: "a", "nm" or "px".
        aspect: Height of a px over its width.

    Raises:
        ValueError: If `pixels_per_unit` is not a positive number.
    """
    if not (math.isfinite(pixels_per_unit) and pixels_per_unit > 0):
        raise ValueError(f"a scale bar needs a positive length per {unit}, got {pixels_per_unit}")
    longest = 0.35 * image_width / pixels_per_unit
    power = 10.0 ** math.floor(math.log10(longest))
    number = max(factor * power for factor in (1, 2, 5) if factor == 1 or factor * power <= longest)
    bar = AnchoredSizeBar(
        axes.transData,
        number * pixels_per_unit,
        f"{number:g} {unit}",
        loc="lower left",
        color="white",
        size_vertical=image_width / 80 / aspect,
        sep=3,
        pad=0.3,
        borderpad=0.4,
    )
    bar.patch.set(facecolor="black", edgecolor="none", alpha=0.6)
    axes.add_artist(bar)


def set_scale(
    axes: Axes, image_width: int, pixel_nm: tuple[float, float] | None, step: int = 1
) -> None:
    """Give the pixels of an image their aspect, and draw a scale bar in nm or px.

    An image with one side more than ``NARROWEST`` times the other is stretched, and says so.

    Args:
        axes: Holds an image whose data unit is one px.
        image_width: The image's width in px.
        pixel_nm: nm per px of the scan along axes 0 and 1; None: unknown, and drawn square.
        step: Pixels of the scan that a px of the image stands for.
    """
    height, width = pixel_nm or (1.0, 1.0)
    aspect = height / width
    unit = "px" if pixel_nm is None else "nm"
    rows = len(axes.images[0].get_array())  # type: ignore[arg-type]
    axes.set_aspect(aspect)
    if not 1 / NARROWEST < aspect * rows / image_width < NARROWEST:
        axes.set_aspect("auto")
        axes.set_title(f"{axes.get_title()}, stretched: not to scale", fontsize=10)
        aspect = 0.3 * image_width / rows  # about that of the panel
    add_scale_bar(axes, image_width, 1 / width / step, unit, aspect)


def centred_power(image: Array) -> Array:
    """Return the power spectrum [H, W] of an image without its mean, frequency 0 in the middle.

    A Hann window keeps the frame's edges from drawing a bright cross; pixels that were not scanned
    count as the mean.
    """
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros(image.shape)
    flat = np.where(finite, image - image[finite].mean(), 0.0)
    window = np.outer(*(np.hanning(side + 1)[:-1] for side in flat.shape))
    mean = (flat * window).sum() / window.sum()
    power: Array = np.fft.fftshift(np.abs(np.fft.fft2((flat - mean) * window)) ** 2)
    return power


class Extent(NamedTuple):
    """The edges of an image in data units, in the order of matplotlib's `extent`."""

    left: float
    right: float
    bottom: float
    top: float


def spectrum_extent(height: int, width: int, step_y: float, step_x: float) -> Extent:
    """Return the edges of a centred spectrum [H, W] whose pixels have these sizes.

    The middle of px (H // 2, W // 2) has frequency 0.
    """
    left, top = -(width // 2) - 0.5, -(height // 2) - 0.5
    return Extent(left * step_x, (left + width) * step_x, (top + height) * step_y, top * step_y)


def save_figure(figure: Figure, path: str | Path) -> list[str]:
    """Write a figure as PNG and in the formats of the style; a file appears complete or not at all.

    Args:
        figure: Any figure of this package.
        path: Of the PNG file, ends in ".png". Missing folders are made, files are replaced.

    Returns:
        The endings of the files, ".png" first.

    Raises:
        ValueError: If the name does not end in ".png".
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"figures are saved as .png, not as {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.set_dpi(DPI)
    layout = figure.get_layout_engine()
    if layout is not None:  # savefig would draw all once more to lay it out
        layout.execute(figure)
        figure.set_layout_engine(None)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=DPI, pil_kwargs=PNG)
    for name in style().formats:
        with atomic_write(path.with_suffix(f".{name}")) as file, _settings_lock, rc_context(_TEXTS):
            figure.savefig(file, format=name, dpi=VECTOR_DPI, metadata=_NO_DATE[name])
    return [path.suffix, *(f".{name}" for name in style().formats)]


class Quantity(NamedTuple):
    """How the values of an image are drawn: (value - shift) / factor.

    Attributes:
        shift: Value that is drawn as 0, in the unit of the image.
        factor: Drawn unit in the unit of the image.
        label: Of a colour bar, such as "current above 5 nA (pA)".
        difference: Label of differences, such as "current (pA)".
    """

    shift: float
    factor: float
    label: str
    difference: str

    def of(self, values: Array) -> Array:
        """Return the numbers that are drawn for values."""
        return (values - self.shift) / self.factor

    def ends(self, limits: Limits) -> Limits:
        """Return the ends of the colours for limits in the unit of the image."""
        low, high = ((limit - self.shift) / self.factor for limit in limits)
        return low, high


def quantity(limits: Limits, unit: str) -> Quantity:
    """Choose the drawn unit of an image, and what is drawn as 0.

    Heights count from the lowest, as the position of the piezo tells nothing; so do values with an
    offset of more than ten times their range.

    Args:
        limits: Lowest and highest value that has a colour of its own.
        unit: Of the values, SI; "" is unknown.
    """
    low, high = limits
    is_far = abs(low) > _FAR * (high - low)
    shift = low if unit == "m" or is_far else 0.0
    largest = max(abs(low - shift), abs(high - shift))
    power = math.floor(math.log10(largest)) if largest > 0 else 0
    if unit:
        factor, drawn = fitting_unit(largest, unit, smallest=-4)
    elif _FEW_DIGITS[0] <= power <= _FEW_DIGITS[1]:
        factor, drawn = 1.0, "arb. units"
    else:
        factor, drawn = 10.0**power, f"10{str(power).translate(_SUPERSCRIPTS)} arb. units"
    label = quantity_label(unit, drawn)
    if is_far and unit != "m":
        above = label.replace(" (", f" above {amount(low, unit)} (", 1)
        return Quantity(shift, factor, above, label)
    return Quantity(shift, factor, label, label)


def quantity_label(unit: str, drawn: str) -> str:
    """Return the label of a colour bar: "height (pm)".

    Args:
        unit: Of the values, SI; it tells the quantity.
        drawn: With the prefix that is drawn.
    """
    return f"{_QUANTITIES.get(unit, 'value')} ({drawn or 'arb. units'})"
