"""What each number of a code draws: patches along one number at a time."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from stm_experiments.figures.canvas import ArrayOrTensor, as_patches, draw_image, new_figure


def traversals(patches: Sequence[ArrayOrTensor], steps: Sequence[float], *, title: str) -> Figure:
    """Draw a row for each number of a code, in which that number alone changes.

    Args:
        patches: Decoded patches of each row on [-1, 1], [S, 1, h, w] each.
        steps: Values of the number in the columns, [S].
        title: Title of the picture.

    Raises:
        ValueError: If the numbers of columns differ.
    """
    rows = [as_patches(row) for row in patches]
    if any(len(row) != len(steps) for row in rows):
        raise ValueError(f"each row has a patch for each of {len(steps)} steps")
    caption = (
        "In each row one number of a held-out patch's code takes the values above the columns, in "
        "standard deviations of the prior; the others stay. Left: the place of the number in the "
        "code. All panels have the same colours, from -1 (dark) to 1 (bright)."
    )
    figure = new_figure(1.1 * len(steps) + 1, 1.15 * len(rows) + 1.6, title, caption, packed=True)
    grid = figure.subplots(len(rows), len(steps), squeeze=False)
    names = [f"{step:+g}" if step else "0" for step in steps]
    for number, row in enumerate(rows):
        for column, axes in enumerate(grid[number]):
            draw_image(axes, row[column], (-1, 1), names[column] if number == 0 else "")
        grid[number, 0].set_ylabel(f"{number + 1}", fontsize=10)
    return figure
