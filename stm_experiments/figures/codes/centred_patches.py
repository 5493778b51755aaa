"""Patches, their denoised and their centred versions, a row for each lattice."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from stm_experiments.figures.canvas import as_patches, draw_image, new_figure, wrapped

_CAPTION = (
    "Denoised: drawn from the whole code. Centred: drawn from its content alone, which must not "
    "tell where the patch lies; the truth is the same crystal with an atom in the middle and the "
    "slope of the cut from top to bottom. All panels have the same colours, from -1 (dark) to 1 "
    "(bright)."
)


def centred_patches_figure(
    columns: dict[str, Tensor], labels: Sequence[str], *, title: str
) -> Figure:
    """Draw patches in rows, with their versions in columns.

    Args:
        columns: Patches on [-1, 1] by the title of their column, [B, 1, h, w] each.
        labels: Label of each row.
        title: Title of the picture.

    Raises:
        ValueError: If the numbers of rows differ.
    """
    panels = {name: as_patches(patches) for name, patches in columns.items()}
    if any(len(patches) != len(labels) for patches in panels.values()):
        raise ValueError(f"a row for each of {len(labels)} labels is wanted in every column")
    width, height = 1.9 * len(panels) + 1, 1.9 * len(labels) + 1.6
    figure = new_figure(width, height, title, _CAPTION, packed=True)
    grid = figure.subplots(len(labels), len(panels), squeeze=False)
    for column, (name, patches) in enumerate(panels.items()):
        for row, axes in enumerate(grid[:, column]):
            draw_image(axes, patches[row], (-1, 1), name if row == 0 else "")
    for axes, label in zip(grid[:, 0], labels, strict=True):
        axes.set_ylabel(wrapped(label, 14), fontsize=10)
    return figure


def first_of_each(labels: Tensor) -> Tensor:
    """Return the row of the first patch of each label [B], in the order of the labels."""
    return torch.stack([(labels == label).nonzero()[0, 0] for label in labels.unique()])
