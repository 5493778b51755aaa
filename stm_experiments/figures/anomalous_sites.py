"""The anomalous sites of a lattice, with their reconstructions and residuals (poster)."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from stm_experiments.figures.canvas import (
    RESIDUAL_COLOURS,
    ArrayOrTensor,
    as_array,
    as_patches,
    draw_image,
    height_limits,
    new_figure,
)


def anomalous_sites(
    patches: ArrayOrTensor,
    reconstructions: ArrayOrTensor,
    names: Sequence[str],
    scores: ArrayOrTensor,
    title: str,
    *,
    columns: int = 8,
) -> Figure:
    """Draw patches around anomalous sites, above their reconstructions and the differences.

    Args:
        patches: The most anomalous first, [P, w, w] or [P, 1, w, w].
        reconstructions: Their reconstructions, of the same shape.
        names: A line or two about each.
        scores: How anomalous each is, nats, [P].
        title: Title of the picture.
        columns: Patches in a row, at most.

    Raises:
        ValueError: If there are no patches.
    """
    originals, copies = as_patches(patches), as_patches(reconstructions)
    columns = min(columns, len(originals))
    rows = -(-len(originals) // columns)
    caption = (
        "Each patch, its reconstruction and the difference. The reconstruction shows how such "
        "sites usually look. Above each patch: rank and score in nats (0: the median site), place "
        "(row, column). All patches have the same colours, and so have the differences (red: the "
        "patch is higher)."
    )
    side = 11 / columns  # inches
    figure = new_figure(11, rows * 3.4 * side + 1.4, title, caption, packed=True)
    grid = figure.subplots(3 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    low, high = height_limits([originals, copies], clip_percent=0.1)
    largest = max(abs(low), abs(high))
    for index, score in enumerate(as_array(scores)):
        row, column = 3 * (index // columns), index % columns
        heading = f"{index + 1}: {score:.0f}\n{names[index]}"
        draw_image(grid[row, column], originals[index], (low, high), heading)
        grid[row, column].title.set_fontsize(7.5)
        draw_image(grid[row + 1, column], copies[index], (low, high), "")
        residual = originals[index] - copies[index]
        draw_image(grid[row + 2, column], residual, (-largest, largest), "", RESIDUAL_COLOURS)
    return figure
