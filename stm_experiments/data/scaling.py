"""The maps of simulated pairs of images to [-1, 1], the same maps as of microscope files."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stm_experiments.core.normalisation import denormalise, normalise_plane
from stm_experiments.simulator import Topographs


class ImagePairs(NamedTuple):
    """Noisy and clean images in one scale.

    Attributes:
        noisy: Noisy images on about [-1, 1], [N, 1, H, W].
        clean: The same images without noise, in the noisy images' scale, [N, 1, H, W].
    """

    noisy: Tensor
    clean: Tensor


def scale_minmax(topographs: Topographs) -> ImagePairs:
    """Map the minimum and maximum of each noisy image to -1 and 1.

    Raises:
        ValueError: If an image is constant.
    """
    noisy = topographs.noisy
    low, high = noisy.amin((1, 2, 3), keepdim=True), noisy.amax((1, 2, 3), keepdim=True)
    if bool((high <= low).any()):
        raise ValueError("a simulated image is constant: enlarge data.size to show an atom")
    scale = 2 / (high - low)
    shift = -1 - low * scale
    noisy, clean = ((image * scale).add_(shift) for image in (noisy, topographs.clean))
    return ImagePairs(noisy, clean)


def scale_without_plane(topographs: Topographs) -> ImagePairs:
    """Subtract each image's plane; map the noisy one's 1st and 99th percentile to -1 and 1.

    The scan's tilt is in the noisy image alone, but the mean slope of a stepped surface is in both.

    Raises:
        ImageError: If an image is nothing but a plane.
    """
    noisy, clean = [], []
    for noisy_image, clean_image in zip(
        topographs.noisy[:, 0], topographs.clean[:, 0], strict=True
    ):
        flat, affine = normalise_plane(noisy_image.numpy(), "a simulated image")
        clean_affine = normalise_plane(
            clean_image.numpy(), "a simulated image without noise"
        ).affine
        plane = denormalise(
            np.zeros(clean_image.shape),
            clean_affine._replace(scale=affine.scale, shift=affine.shift),
        )
        noisy.append(torch.from_numpy(flat))
        clean.append(((clean_image - torch.from_numpy(plane)) / affine.scale).float())
    return ImagePairs(torch.stack(noisy)[:, None], torch.stack(clean)[:, None])


# The maps by their names in ``data.normalisation``.
PAIR_NORMALISATIONS = {"minmax": scale_minmax, "plane": scale_without_plane}
