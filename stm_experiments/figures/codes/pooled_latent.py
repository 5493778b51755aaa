"""Lattice types in the latent space: of single patches and of whole images."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from stm_experiments.figures.canvas import ArrayOrTensor, as_array, new_figure
from stm_experiments.figures.codes.latent_pca import (
    Colouring,
    check_classes,
    legend_handles,
    scatter,
)
from stm_experiments.latent.codes import Codes, pool, thin_out, variance_shares
from stm_experiments.latent.probes import can_tell_lattices, probe_accuracy, project_held_out

PATCHES_PER_IMAGE = 48  # single patches that are drawn and from which the probe learns


def pooled_latent(
    codes: ArrayOrTensor,
    image: ArrayOrTensor,
    lattice: ArrayOrTensor,
    class_names: Sequence[str],
    *,
    title: str = "Lattice types in the latent codes",
) -> Figure:
    """Draw codes of single patches and codes pooled over each image, coloured by lattice.

    Pooled: mean and upper triangle of the covariance of all codes of an image. The two axes are
    those that separate the lattices best in one half of the images (linear discriminant analysis);
    the points are of the other half. The titles give the balanced accuracy of a linear probe on
    held-out images (`latent.probes`).

    Args:
        codes: [N, D] latent codes of patches, at least two from each image.
        image: [N] image of each patch.
        lattice: [N] class number of each patch.
        class_names: Name of class 0, 1, ...
        title: Title of the picture.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, a class has no name, or there are
            not two lattices with two images each.
    """
    points, images, lattices = as_array(codes), as_array(image), as_array(lattice)
    check_classes(points, lattices, class_names)
    if images.shape != lattices.shape:
        raise ValueError(f"images {list(images.shape)} and codes {list(points.shape)} do not fit")
    tensors = (torch.tensor(points), torch.tensor(lattices).long(), torch.tensor(images).long())
    everything = Codes(*tensors, torch.full((len(points), 3), torch.nan))
    if not can_tell_lattices(everything):
        raise ValueError("lattices can be told apart only if there are two, with two images each")
    parts = variance_shares(everything)
    figure = new_figure(12, 6.8, title, _caption(parts, len(np.unique(images))))
    chance = 1 / len(np.unique(lattices))
    panels = figure.subplots(1, 2)
    kinds = {
        "single patches": thin_out(everything, PATCHES_PER_IMAGE),
        "whole images": pool(everything),
    }
    for axes, (name, kind) in zip(panels, kinds.items(), strict=True):
        projection = project_held_out(kind)
        # Shuffled, so that the lattice drawn last does not cover the others.
        order = np.random.default_rng(0).permutation(len(projection.points))
        classes = as_array(projection.codes.lattice)[order]
        names = ("first axis", "second axis")
        scatter(axes, projection.points[order], names, Colouring(classes, class_names))
        accuracy = probe_accuracy(kind)
        axes.set_title(f"{name}: {accuracy:.0%} recognised (chance {chance:.0%})", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        handles=legend_handles(classes, class_names),
        title="lattice\n(images shown)",
        loc="outside right center",
        fontsize=9,
        title_fontsize=10,
        frameon=False,
    )
    return figure


def _caption(parts: dict[str, float], n_images: int) -> str:
    """Return the text below the picture.

    Args:
        parts: Shares of the variance between patches and between lattices; empty if there is none.
        n_images: Number of held-out images.
    """
    if not parts:
        return "All codes are equal: the latent space has collapsed."
    share = (
        f"{parts['patch']:.1%} of the variance of the codes lies between patches of the same image"
    )
    if parts["lattice"] < parts["patch"]:
        reason = (
            f"Single patches do not cluster because {share}: a code depends mainly on where in the "
            f"unit cell its patch was cut. Only {parts['lattice']:.1%} lies between lattices."
        )
    else:
        reason = f"{share}, {parts['lattice']:.1%} between lattices."
    return (
        "Left: a point is the code of one patch. Right: a point is one image, described by the "
        "mean and the covariance of the codes of all its patches. The axes separate the lattices "
        f"best in one half of {n_images} held-out images; the points are of the other half. "
        "Percentages: accuracy of a linear probe on images from which it did not learn. "
        f"{reason} Over an image the place in the unit cell averages out, and what its patches "
        "have in common remains."
    )
