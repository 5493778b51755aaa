"""Patches before and after training (paper: Figure 13)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from skimage.metrics import structural_similarity

from stm_experiments.figures.canvas import (
    RESIDUAL_COLOURS,
    Array,
    ArrayOrTensor,
    as_patches,
    clipped_ends,
    draw_image,
    height_limits,
    new_figure,
    wrapped,
)


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
        lines.append(f"vs {other}: MSE {mse:.3g}, SSIM {ssim:.3f}")
    return "\n".join(lines)
