"""The pictures that every run leaves."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from stm_experiments.core.batch import Batch
from stm_experiments.core.results.measures import Measure, measure_of
from stm_experiments.core.results.names import read_name
from stm_experiments.figures.codes.latent_pca import latent_pca
from stm_experiments.figures.network_diagram import network_diagram
from stm_experiments.figures.reconstruction_grid import reconstruction_grid
from stm_experiments.figures.training_curves import training_curves
from stm_experiments.latent.codes import Codes
from stm_experiments.models.interfaces import Network


class TrainingRecord(NamedTuple):
    """What a training leaves besides the weights.

    Attributes:
        rows: Rows of metrics.csv; empty if the network was fitted in closed form.
        curves: Points (epoch, value) of all that was measured, by name.
        first: Reconstructions of the samples after the first epoch, [8, 1, h, w], or None.
        label: What the loss is, for the curves; None: the mean squared error of the patches, with
            which that of the baselines is compared.
        measures: What else the objective logs.
    """

    rows: Sequence[Mapping[str, float]]
    curves: Mapping[str, Sequence[tuple[float, float]]]
    first: Tensor | None
    label: str | None
    measures: Mapping[str, Measure]


def run_figures(
    net: Network,
    codes: Codes | None,
    samples: Batch,
    record: TrainingRecord,
    references: Mapping[str, float],
    lattices: Sequence[str],
) -> dict[str, Figure]:
    """Draw what a trained network does, from the network itself.

    Args:
        net: The network, on the CPU, in evaluation mode.
        codes: Latent codes of test patches; None if the network has none.
        samples: One patch from each of several test images.
        record: What its training left.
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
            record.first,
            final,
            labels,
            title=f"{name}: held-out patches",
        ),
        "network": network_diagram(net, tuple(samples.noisy.shape[1:]), name),
    }
    if record.curves:
        figures["curves"] = curves_figure(name, record, references)
    if codes is not None:
        figures["latent"] = latent_figure(codes, lattices)
    return figures


def curves_figure(name: str, record: TrainingRecord, references: Mapping[str, float]) -> Figure:
    """Draw all that was measured while a network was trained: axes for the loss and each measure.

    Args:
        name: Of the network.
        record: With the curves.
        references: Errors of other networks, drawn where the loss is that error.
    """
    groups: dict[str, dict[str, Sequence[tuple[float, float]]]] = {}
    for text, points in record.curves.items():
        parts = read_name(text)
        groups.setdefault(parts.measure if parts else text, {})[text] = points
    losses = groups.pop("loss")
    return training_curves(
        losses,
        f"{name}: training",
        references if record.label is None else None,
        record.label or "mean squared error per px",
        {measure_of(key, record.measures).title: each for key, each in groups.items()},
    )


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
