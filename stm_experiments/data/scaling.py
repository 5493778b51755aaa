"""The maps of simulated images to [-1, 1]; the same ones as of microscope files."""

import numpy as np
import torch
from torch import Tensor

from stm_experiments.core.normalisation import denormalise, normalise_plane
from stm_experiments.simulator import Topographs


def _minmax(topographs: Topographs) -> tuple[Tensor, Tensor]:
    """Noisy and clean images [N, 1, H, W]; the noisy minimum and maximum become -1 and 1."""
    noisy = topographs.noisy
    low, high = noisy.amin((1, 2, 3), keepdim=True), noisy.amax((1, 2, 3), keepdim=True)
    if bool((high <= low).any()):
        raise ValueError("a simulated image is constant: enlarge data.size to show an atom")
    scale = 2 / (high - low)
    return (noisy - low) * scale - 1, (topographs.clean - low) * scale - 1


def _without_plane(topographs: Topographs) -> tuple[Tensor, Tensor]:
    """Noisy and clean images [N, 1, H, W], each without its own plane, in the noisy one's scale.

    The scan's tilt is in the noisy image alone, a stepped surface's mean slope is in both.
    """
    noisy, clean = [], []
    for recorded, true in zip(topographs.noisy[:, 0], topographs.clean[:, 0], strict=True):
        flat, affine = normalise_plane(recorded.numpy(), "a simulated image")
        _, own = normalise_plane(true.numpy(), "a simulated image without noise")
        plane = denormalise(
            np.zeros(true.shape), own._replace(scale=affine.scale, shift=affine.shift)
        )
        noisy.append(torch.from_numpy(flat))
        clean.append(((true - torch.from_numpy(plane)) / affine.scale).float())
    return torch.stack(noisy)[:, None], torch.stack(clean)[:, None]


PAIR_NORMALISATIONS = {"minmax": _minmax, "plane": _without_plane}
