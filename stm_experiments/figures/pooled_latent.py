"""Lattice types in the latent space: single patches beside whole images."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from stm_experiments.figures.canvas import ArrayOrTensor, as_array, new_figure
from stm_experiments.figures.latent_pca import check_classes, legend_handles, scatter
from stm_experiments.latent.codes import Codes, pool, thin, variance_shares
from stm_experiments.latent.probes import can_tell_lattices, held_out_axes, probe_accuracy

PER_IMAGE = 48  # single patches of an image that are drawn and from which the probe learns


def pooled_latent(
    codes: ArrayOrTensor,
    image: ArrayOrTensor,
    lattice: ArrayOrTensor,
    class_names: Sequence[str],
    title: str = "Lattice types in the latent codes",
) -> Figure:
    """Draw codes of single patches beside codes pooled over each image, coloured by lattice.

    Pooled: mean and upper triangle of the covariance of all codes of an image. The axes are the two
    that part the lattices best in one half of the images (linear discriminant analysis); shown is
    the other half. The titles have the balanced accuracy of a linear probe on held-out images
    (``analysis.probes``), of all images.

    Args:
        codes: [n,D] latent codes of patches, at least two from each image.
        image: [n] image of each patch.
        lattice: [n] class number of each patch.
        class_names: Name of class 0, 1, ...
        title: Title of the picture.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, a class has no name, or there are
            not two lattices with two images each.
    """
    points, numbers, labels = as_array(codes), as_array(image), as_array(lattice)
    check_classes(points, labels, class_names)
    if numbers.shape != labels.shape:
        raise ValueError(f"images {list(numbers.shape)} and codes {list(points.shape)} do not fit")
    tensors = (torch.tensor(points), torch.tensor(labels).long(), torch.tensor(numbers).long())
    everything = Codes(*tensors, torch.full((len(points), 3), torch.nan))
    if not can_tell_lattices(everything):
        raise ValueError("lattices can be told apart only if there are two, with two images each")
    parts = variance_shares(everything)
    figure = new_figure(12, 6.8, title, _caption(parts, len(np.unique(numbers))))
    chance = 1 / len(np.unique(labels))
    panels = figure.subplots(1, 2)
    kinds = (("single patches", thin(everything, PER_IMAGE)), ("whole images", pool(everything)))
    for axes, (words, rows) in zip(panels, kinds, strict=True):
        flat, shown = held_out_axes(rows)
        # Shuffled, so that the lattice drawn last does not cover the others.
        order = np.random.default_rng(0).permutation(len(flat))
        classes = as_array(shown.lattice)[order]
        scatter(axes, flat[order], ("first axis", "second axis"), classes, class_names, "")
        accuracy = probe_accuracy(rows)
        axes.set_title(f"{words}: {accuracy:.0%} recognised (chance {chance:.0%})", fontsize=11)
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


def _caption(parts: dict[str, float], images: int) -> str:
    if not parts:
        return "All codes are equal: the latent space has collapsed."
    return (
        "Left: a point is the code of one patch. Right: a point is one image, described by the "
        "mean and the covariance of the codes of all its patches. The axes part the lattices best "
        f"in one half of {images} held-out images; the points are of the other half. Percentages: "
        "a linear probe on images that it did not learn from. Why single patches do not cluster: "
        f"{parts['patch']:.1%} of the codes' variance lies between patches of one and the same "
        "image, because a code says first of all where in the unit cell its patch was cut; only "
        f"{parts['lattice']:.1%} lies between lattices. Over an image the place in the unit cell "
        "averages out, and what its patches have in common is left."
    )
