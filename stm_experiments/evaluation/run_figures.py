"""The pictures that every run leaves."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from stm_experiments.core.batch import Batch
from stm_experiments.figures.codes.latent_pca import latent_pca
from stm_experiments.figures.network_diagram import network_diagram
from stm_experiments.figures.reconstruction_grid import reconstruction_grid
from stm_experiments.figures.training_curves import training_curves
from stm_experiments.latent.codes import Codes
from stm_experiments.models.interfaces import Network


def run_figures(
    net: Network,
    codes: Codes | None,
    samples: Batch,
    first: Tensor | None,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    references: Mapping[str, float],
    lattices: Sequence[str],
) -> dict[str, Figure]:
    """Draw what a trained network does, from the network itself.

    Args:
        net: The network, on the CPU, in evaluation mode.
        codes: Latent codes of test patches; None if the network has none.
        samples: One patch from each of several test images.
        first: Their reconstructions after the first epoch; None if there were no epochs.
        curves: Points (epoch, loss) by curve; empty if there were no epochs.
        references: Losses to compare the curves with, by label.
        lattices: Names of all lattices, by label.

    Returns:
        Figures by file name: curves, reconstructions, latent and network, as far as they exist.
    """
    name = net.label
    with torch.inference_mode():
        final = net(samples.noisy)
    labels = [
        f"{lattices[label]}, image {image}"
        for label, image in zip(samples.lattice.tolist(), samples.image.tolist(), strict=True)
    ]
    figures = {
        "reconstructions": reconstruction_grid(
            samples.noisy,
            samples.clean,
            first,
            final,
            labels,
            title=f"{name}: held-out patches",
        ),
        "network": network_diagram(net, tuple(samples.noisy.shape[1:]), name),
    }
    if curves:
        figures["curves"] = training_curves(
            curves, f"{name}: training", references, "mean squared error per pixel"
        )
    if codes is not None:
        figures["latent"] = latent_figure(codes, lattices)
    return figures


def latent_figure(codes: Codes, lattices: Sequence[str]) -> Figure:
    """Draw the latent PCA of test patches (Figure 12), coloured by lattice.

    A single lattice is coloured by the tilt of its cut, or by image if the tilt is unknown, as in
    files.

    Args:
        codes: Their codes, with lattice, image and orientation of the patches.
        lattices: Names of all lattices, by label.
    """
    labels, classes = torch.unique(codes.lattice, return_inverse=True)
    if len(labels) > 1:
        names = [lattices[label] for label in labels.tolist()]
        return latent_pca(codes.codes, classes, "lattice", names)
    tilt = codes.orientation[:, 1]
    if bool(tilt.isfinite().all()):
        return latent_pca(codes.codes, tilt, "tilt of the cut (fraction of its range)", None)
    return latent_pca(codes.codes, codes.image.float(), "number of the image", None)
