"""The pictures of the benchmark of stripe removers."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from stm_experiments.benchmarks.destripe.cases import AFTER, NOTHING, WIDTHS, Case, Method
from stm_experiments.figures.canvas import CATEGORY_COLOURS, TOPOGRAPH_COLOURS, new_figure

Curves = Mapping[tuple[str, str], Sequence[tuple[float, float | None]]]
MARKERS = "osD^vPX*"


def widths_figure(title: str, everywhere: Curves, inside: Curves) -> Figure:
    """Decibels against the width of the stripes; a row of panels for each group of lattices.

    Args:
        title: What the images are.
        everywhere: (group, method) -> mean and half its interval at each width [dB], whole images.
        inside: The same in the stripes alone.
    """
    groups = list(dict.fromkeys(group for group, _ in everywhere))
    names = [name for group, name in everywhere if group == groups[0]]
    bare = [name for name in names if not name.endswith(AFTER)]
    figure = new_figure(
        11,
        1.6 + 3.4 * len(groups),
        f"Stripes taken off: {title}",
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


def examples_figure(cases: Mapping[str, Case], tried: Mapping[str, Method]) -> Figure:
    """Each case as it is, through every method, and clean.

    Args:
        cases: By what they are.
        tried: Methods by name.
    """
    columns: dict[str, Method | None] = {**tried, "clean": None}
    figure = new_figure(
        1.9 * len(columns), 0.9 + 2.2 * len(cases), "Stripes and what is made of them", packed=True
    )
    grid = figure.subplots(len(cases), len(columns), squeeze=False)
    for (kind, case), row in zip(cases.items(), grid, strict=True):
        row[0].set_ylabel(f"{kind}\n{case.lattice}", fontsize=9)
        for method, axes in zip(columns.values(), row, strict=True):
            image: Tensor = case.clean if method is None else method(case.noisy)
            axes.imshow(image.numpy(), cmap=TOPOGRAPH_COLOURS, vmin=-1, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
    for name, axes in zip(columns, grid[0], strict=True):
        axes.set_title("as recorded" if name == NOTHING else name, fontsize=8)
    return figure
