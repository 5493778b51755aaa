"""The pictures of the benchmark of stripe removers."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from stm_experiments.benchmarks.destripe.images import (
    AFTER,
    UNCHANGED,
    WIDTHS,
    StripedImage,
    StripeRemover,
)
from stm_experiments.core.intervals import Interval
from stm_experiments.figures.canvas import CATEGORY_COLOURS, new_figure
from stm_experiments.figures.style import style

Curves = Mapping[tuple[str, str], Sequence[Interval]]
MARKERS = "osD^vPX*"


def widths_figure(title: str, everywhere: Curves, inside: Curves) -> Figure:
    """Draw decibels against the width of the stripes, one row of panels per group of lattices.

    Args:
        title: What the images are.
        everywhere: (group, method) -> mean and half its interval at each width, dB, whole images.
        inside: The same in the stripes alone.
    """
    groups = list(dict.fromkeys(group for group, _ in everywhere))
    names = [name for group, name in everywhere if group == groups[0]]
    bare = [name for name in names if not name.endswith(AFTER)]
    figure = new_figure(
        11,
        1.6 + 3.4 * len(groups),
        f"Removal of stripes: {title}",
        "PSNR against the clean image: higher is better. Dashed: with the shipped denoiser after "
        "it. Bars: 95 % interval over the images.",
    )
    grid = figure.subplots(len(groups), 2, squeeze=False, sharex=True)
    for group, row in zip(groups, grid, strict=True):
        for axes, scores, where in zip(
            row, (everywhere, inside), ("whole image", "in the stripes"), strict=True
        ):
            axes.set_title(f"{where}, lattices {group}", fontsize=10)
            for name in names:
                place = bare.index(name.removesuffix(AFTER))
                points = scores[group, name]
                axes.errorbar(
                    WIDTHS,
                    [mean for mean, _ in points],
                    yerr=[half or 0 for _, half in points],
                    color=CATEGORY_COLOURS[place % len(CATEGORY_COLOURS)],
                    marker=MARKERS[place % len(MARKERS)],
                    linestyle="--" if name.endswith(AFTER) else "-",
                    markersize=4,
                    linewidth=1.2,
                    elinewidth=0.6,
                    label=name,
                )
            axes.set_xscale("log", base=2)
            axes.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
            axes.grid(alpha=0.3)
        row[0].set_ylabel("PSNR [dB]")
    for axes in grid[-1]:
        axes.set_xlabel("width of the stripes [px]")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return figure


def examples_figure(
    images: Mapping[str, StripedImage], methods: Mapping[str, StripeRemover]
) -> Figure:
    """Draw each image as it is, after every method, and clean.

    Args:
        images: By what they are.
        methods: By name.
    """
    columns: dict[str, StripeRemover | None] = {**methods, "clean": None}
    figure = new_figure(
        1.9 * len(columns), 0.9 + 2.2 * len(images), "Stripes and their removal", packed=True
    )
    grid = figure.subplots(len(images), len(columns), squeeze=False)
    for (kind, image), row in zip(images.items(), grid, strict=True):
        row[0].set_ylabel(f"{kind}\n{image.lattice}", fontsize=9)
        for method, axes in zip(columns.values(), row, strict=True):
            shown: Tensor = image.clean if method is None else method(image.noisy)
            axes.imshow(shown.numpy(), cmap=style().colormap, vmin=-1, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
    for name, axes in zip(columns, grid[0], strict=True):
        axes.set_title("as recorded" if name == UNCHANGED else name, fontsize=8)
    return figure
