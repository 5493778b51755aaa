"""Descriptions of whole images by a few numbers that do not depend on where the image was taken.

A network can learn to predict such a description from a patch alone (``training.Context``). Nobody
has to label anything: an image is described by itself.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.descriptions.autocorrelation import (
    HARMONICS,
    RADII,
    autocorrelation,
)
from stm_experiments.core.descriptions.radial_spectrum import LENGTH, radial_spectrum


class Description(NamedTuple):
    """A description of images.

    Attributes:
        length: Its numbers, K.
        describe: Maps images [N, 1, H, W] to descriptions [N, K] float32.
    """

    length: int
    describe: Callable[[Tensor], Tensor]


def spectrum_and_autocorrelation(images: Tensor) -> Tensor:
    """Return both descriptions, which vary equally over the lattices of the simulator.

    Args:
        images: [N, 1, H, W].

    Returns:
        [N, 104 + 280] float32.
    """
    return torch.cat([radial_spectrum(images), autocorrelation(images)], 1)


# The descriptions by their names in ``model.net.description``.
DESCRIPTIONS = {
    "radial_spectrum": Description(LENGTH, radial_spectrum),
    "autocorrelation": Description(RADII * HARMONICS, autocorrelation),
    "spectrum_and_autocorrelation": Description(
        LENGTH + RADII * HARMONICS, spectrum_and_autocorrelation
    ),
}


def check_description(name: str) -> None:
    """Refuse the name of a description that does not exist.

    Raises:
        ValueError: If there is no such description.
    """
    if name not in DESCRIPTIONS:
        known = ", ".join(DESCRIPTIONS)
        raise ValueError(f"model.net.description is one of {known}, not {name!r}")
