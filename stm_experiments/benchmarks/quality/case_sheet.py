"""A sheet of the worst cases: truth, noisy image, estimate and error."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from stm_experiments.benchmarks.quality.collection import Case
from stm_experiments.core.arrays import Array
from stm_experiments.core.planes import subtract_plane
from stm_experiments.figures.canvas import RESIDUAL_COLOURS, new_figure
from stm_experiments.figures.style import style


class PicturedCase(NamedTuple):
    """A case and what a method made of it.

    Attributes:
        gain: dB.
        case: The case.
        estimate: [H, W].
    """

    gain: float
    case: Case
    estimate: Array


def worst_sheet(method: str, worst: list[PicturedCase]) -> Figure:
    """Draw one row for each case; the error has the range of the noise, 0 is white."""
    figure = new_figure(
        11.0,
        1.0 + 2.5 * len(worst),
        f"Worst cases of {method}",
        "Truth, noisy image without its plane, estimate and its error. The colours of the error "
        "span three standard deviations of the noise, blue below and red above the truth.",
    )
    grid = figure.subplots(len(worst), 4, squeeze=False)
    for row, (gain, case, estimate) in zip(grid, worst, strict=True):
        error = subtract_plane(estimate - case.clean)
        noise = subtract_plane(case.noisy - case.clean)
        low, high = np.quantile(case.clean, (0.002, 0.998))
        low, high = (low, high) if high > low else (-3 * noise.std(), 3 * noise.std())
        for axes, image in zip(row, (case.clean, case.clean + noise, case.clean + error),
                               strict=False):  # fmt: skip
            axes.imshow(image, cmap=style().colormap, vmin=low, vmax=high)
        span = 3 * noise.std()
        row[3].imshow(error, cmap=RESIDUAL_COLOURS, vmin=-span, vmax=span)
        row[0].set_title(f"{case.name}", fontsize=9)
        row[2].set_title(f"{gain:+.2f} dB", fontsize=9)
        for axes in row:
            axes.set_axis_off()
    return figure
