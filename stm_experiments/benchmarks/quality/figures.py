"""The pictures of the quality benchmark."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from stm_experiments.core.intervals import Interval
from stm_experiments.figures.canvas import CATEGORY_COLOURS, new_figure

MARKERS = "osD^vPX*"


def quality_figure(psnr: Mapping[tuple[str, str], Mapping[str, Interval]]) -> Figure:
    """Draw the PSNR of every method, one panel for each lattice and noise.

    Args:
        psnr: (lattice, noise) -> method -> PSNR, dB.
    """
    lattices = list(dict.fromkeys(lattice for lattice, _ in psnr))
    noises = list(dict.fromkeys(noise for _, noise in psnr))
    names = list(dict.fromkeys(name for scores in psnr.values() for name in scores))
    figure = new_figure(
        2 + 2.0 * len(lattices),
        1.6 + 0.24 * len(names) * len(noises),
        "Denoising whole images",
        "PSNR against the clean image, 95 % interval over images; further right is better. Dotted: "
        "the noisy input.",
    )
    grid = figure.subplots(len(noises), len(lattices), squeeze=False, sharey=True, sharex="row")
    for row, noise in zip(grid, noises, strict=True):
        for axes, lattice in zip(row, lattices, strict=True):
            scores = psnr.get((lattice, noise), {})
            axes.set_title(f"{lattice}, {noise}", fontsize=10)
            axes.set_yticks(range(len(names)), names, fontsize=8)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.grid(axis="x", alpha=0.3)
            for place, name in enumerate(names):
                mean, half = scores.get(name, (math.nan, None))
                if math.isfinite(mean):
                    colour = CATEGORY_COLOURS[place % len(CATEGORY_COLOURS)]
                    axes.errorbar(mean, place, xerr=half or 0, fmt="o", color=colour, markersize=4)
            first = scores.get(names[0], (math.nan, None))[0]
            if math.isfinite(first):
                axes.axvline(first, color="0.4", linestyle=":", linewidth=1)
    for axes in grid[-1]:
        axes.set_xlabel("PSNR [dB]", fontsize=9)
    return figure


def strength_figure(
    strengths: Sequence[float], curves: Mapping[str, Mapping[str, Sequence[Interval]]]
) -> Figure:
    """Draw the error against the strength of the noise, one panel per lattice.

    Args:
        strengths: Factors on the paper's noise.
        curves: Lattice -> method -> error at each strength: mean squared error on the scale on
            which the clean image spans [-1, 1].
    """
    figure = new_figure(
        2.6 + 2.3 * len(curves),
        4.6,
        "Error against strength of the noise",
        "Mean squared error against the clean image, on the scale on which the clean image spans "
        "[-1, 1]; striation, Gaussian and Poisson noise of the paper times the strength, "
        "displacement of the atoms unchanged. Lower is better.",
    )
    grid = figure.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for axes, (lattice, networks) in zip(grid, curves.items(), strict=True):
        for place, (name, scores) in enumerate(networks.items()):
            axes.errorbar(
                strengths,
                [mean for mean, _ in scores],
                yerr=[half or 0 for _, half in scores],
                color=CATEGORY_COLOURS[place % len(CATEGORY_COLOURS)],
                marker=MARKERS[(place // len(CATEGORY_COLOURS)) % len(MARKERS)],
                linestyle=("-", "--")[(place // len(CATEGORY_COLOURS)) % 2],
                markersize=4,
                linewidth=1,
                label=name,
            )
        axes.set_title(lattice, fontsize=10)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(strengths, [f"{strength:g}" for strength in strengths])
        axes.set_xlabel("strength of the paper's noise", fontsize=9)
        axes.grid(alpha=0.3)
    grid[0].set_ylabel("mean squared error")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return figure
