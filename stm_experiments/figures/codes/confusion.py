"""What a linear probe of the codes takes the patches and images of each lattice for."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from stm_experiments.figures.canvas import new_figure
from stm_experiments.latent.codes import Codes, pool, thin_out
from stm_experiments.latent.probes import lattice_confusion

PATCHES_PER_IMAGE = 48  # single patches from which the probe learns


def confusion_figure(codes: Codes, lattices: Sequence[str], title: str) -> Figure:
    """Draw two tables: from single patches, and from all patches of an image.

    Args:
        codes: Of single patches, several of each image, of at least two lattices with at least two
            images each.
        lattices: Names of the lattices, in ascending order of their labels.
        title: Title of the picture.
    """
    caption = (
        "Rows: the true lattice; columns: what a linear probe of the codes takes it for, on images "
        "from which it did not learn. The mean of the diagonal is the balanced accuracy."
    )
    kinds = {
        "one patch": thin_out(codes, PATCHES_PER_IMAGE),
        "all patches of an image": pool(codes),
    }
    side = 2.6 + 0.6 * len(lattices)
    figure = new_figure(2 * side, side, title, caption)
    for axes, (name, rows) in zip(figure.subplots(1, 2), kinds.items(), strict=True):
        shares = lattice_confusion(rows)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 0.6 else "black"
            axes.text(column, row, f"{share:.3f}", ha="center", va="center", color=colour, size=9)
        axes.set_xticks(range(len(lattices)), lattices)
        axes.set_yticks(range(len(lattices)), lattices)
        axes.set_xlabel("taken for", fontsize=10)
        axes.set_ylabel("lattice", fontsize=10)
        axes.set_title(f"{name}: {np.trace(shares) / len(shares):.1%}", fontsize=11)
        axes.tick_params(length=0)
    return figure
