"""Patches and their reconstructions before and after training (paper: Figure 13)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from skimage.metrics import structural_similarity

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import (
    RESIDUAL_COLOURS,
    ArrayOrTensor,
    as_patches,
    clipped_ends,
    draw_image,
    height_limits,
    new_figure,
    wrapped,
)

_NOISY, _CLEAN, _FIRST, _FINAL = "noisy (input)", "clean", "first epoch", "final"


def reconstruction_grid(
    noisy: ArrayOrTensor,
    clean: ArrayOrTensor | None,
    first: ArrayOrTensor | None,
    final: ArrayOrTensor,
    labels: Sequence[str],
    *,
    title: str = "Patches and their reconstructions",
    most: int = 8,
) -> Figure:
    """Draw patches, their reconstructions and the residuals, one row per patch (Figure 13).

    Below each panel are its mean squared error and SSIM (scikit-image, 7x7 uniform window,
    data_range 2), compared with the noisy patch and, if there is one, the clean patch.

    Args:
        noisy: [B, 1, h, w] on [-1, 1], the network's input; h, w >= 7 px.
        clean: [B, 1, h, w], the same without noise, or None.
        first: [B, 1, h, w], reconstruction after the first epoch, or None.
        final: [B, 1, h, w], reconstruction by the trained network.
        labels: One per patch, such as the lattice's name.
        title: Title of the picture.
        most: Number of patches, at most: the first ones.

    Raises:
        ValueError: If the shapes or the number of labels differ.
    """
    columns = {_NOISY: noisy, _CLEAN: clean, _FIRST: first, _FINAL: final}
    panels = {name: as_patches(patches) for name, patches in columns.items() if patches is not None}
    _check_shapes(panels, labels)
    total = len(panels[_NOISY])
    panels = {name: patches[:most] for name, patches in panels.items()}
    residuals = panels[_FINAL] - panels[_NOISY]

    rows = len(residuals)
    width, height = 2.3 * (len(panels) + 1) + 0.5, 2.65 * rows + 1.9
    figure = new_figure(width, height, title, _caption(rows, total), packed=True)
    grid = figure.subplots(rows, len(panels) + 1, squeeze=False)
    for axes, label in zip(grid[:, 0], labels, strict=False):
        axes.set_ylabel(wrapped(label, 18), fontsize=10)
    limits = height_limits([patches for name, patches in panels.items() if name != _FIRST])
    for column, (name, patches) in enumerate(panels.items()):
        for index, axes in enumerate(grid[:, column]):
            artist = draw_image(axes, patches[index], limits, name if index == 0 else "")
            axes.set_xlabel(_scores(name, index, panels), fontsize=8)
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
    _draw_residuals(figure, list(grid[:, -1]), residuals)
    return figure


def _check_shapes(panels: Mapping[str, Array], labels: Sequence[str]) -> None:
    """Refuse patches of different shapes, and a number of labels other than that of patches.

    Raises:
        ValueError: If the shapes or the number of labels differ.
    """
    shapes = [patches.shape for patches in panels.values()]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"shapes differ: {[list(shape) for shape in shapes]}")
    if len(labels) != shapes[0][0]:
        raise ValueError(f"got {shapes[0][0]} patches and {len(labels)} labels")


def _caption(rows: int, total: int) -> str:
    """Return the text below the picture of `rows` patches of `total`."""
    caption = (
        "MSE (0 is best) and SSIM (1 is best) compare a panel with the noisy patch and, where "
        "known, the clean one. Residual: final minus noisy; of a perfect denoiser it is the noise."
    )
    if total > rows:
        caption += f" The first {rows} of {total} patches are shown."
    return caption


def _draw_residuals(figure: Figure, column: Sequence[Axes], residuals: Array) -> None:
    """Draw residuals [B, h, w] below each other, with a colour bar."""
    largest = height_limits([np.abs(residuals)])[1]
    for index, (axes, residual) in enumerate(zip(column, residuals, strict=True)):
        title = "residual" if index == 0 else ""
        artist = draw_image(axes, residual, (-largest, largest), title, RESIDUAL_COLOURS)
        axes.set_xlabel(f"rms {np.sqrt(np.mean(residual**2)):.4f}", fontsize=8)
    bar = figure.colorbar(artist, ax=column, location="bottom", aspect=12)
    bar.set_label("residual")
    bar.ax.xaxis.set_major_locator(MaxNLocator(3, symmetric=True))


def _scores(name: str, index: int, panels: Mapping[str, Array]) -> str:
    """Return MSE and SSIM of a patch, compared with the noisy and the clean patch, a line each."""
    lines = []
    patch = panels[name][index]
    for other, words in ((_NOISY, "noisy"), (_CLEAN, "clean")):
        if other in panels and other != name and name != _CLEAN:
            reference = panels[other][index]
            mse = np.mean((patch - reference) ** 2)
            lines.append(f"vs {words}: MSE {mse:.3g}, SSIM {_ssim(patch, reference):.3f}")
    return "\n".join(lines)


def _ssim(patch: Array, reference: Array) -> float:
    """Return the structural similarity of two patches [h, w] on [-1, 1]."""
    compare: Callable[..., float] = structural_similarity  # untyped
    return compare(patch, reference, data_range=2, win_size=7)
