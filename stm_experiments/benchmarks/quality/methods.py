"""The denoisers that the collection compares: a noisy image in, an estimate out."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stm_experiments import models
from stm_experiments.benchmarks.quality.collection import Case
from stm_experiments.core.arrays import Array
from stm_experiments.core.normalisation import NORMALISATIONS, denormalise
from stm_experiments.models import checkpoint, tiling
from stm_experiments.restoration.denoise import DEFAULT, denoise


class Estimate(NamedTuple):
    """What a denoiser returns.

    Attributes:
        heights: [H, W].
        uncertainty: Standard deviation of each pixel, [H, W]; None: not stated.
    """

    heights: Array
    uncertainty: Array | None = None


Denoise = Callable[[Array], Estimate]
Candidates = Callable[[Case], dict[str, Denoise]]
"""The settings of a method for a case by name. Of several, the one of least true error counts, so
that a baseline is shown at its best; a method with one setting gets no help from the truth."""

_GAUSSIAN_WIDTHS = (0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.4, 2.0, 3.0)  # px
_COMPONENTS = (16, 32, 64)
_MIXED = "denoise by "
_SIGMAS = (1.0, 1.5, 2.0)  # over the true deviation of the noise


def mixture(
    name: str | None = None,
    *,
    uncertainty: bool = False,
    remove_waves: bool = False,
    prepare: Sequence[str] = (),
) -> Candidates:
    """Return ``stm_experiments.denoise`` as users call it.

    Args:
        name: A trained model; None: the shipped one.
        uncertainty: See ``denoise``.
        remove_waves: See ``denoise``.
        prepare: See ``denoise``.

    Raises:
        ValueError: If the model cannot be loaded.
    """
    net = checkpoint.load(name or DEFAULT)

    def run(image: Array) -> Estimate:
        result = denoise(
            image, net, uncertainty=uncertainty, remove_waves=remove_waves, prepare=prepare
        )
        return Estimate(result.data, result.uncertainty)

    return lambda case: {"": run}


def network_alone(name: str) -> Candidates:
    """Return one pass of a trained network, without any search or rule around it.

    Raises:
        ValueError: If the model cannot be loaded.
    """
    net = checkpoint.load(name)
    kind = net.card.normalisation if net.card else "plane"
    run = partial(_pass, lambda x: tiling.apply_network(net, x, net.window, 4), kind)
    return lambda case: {"": run}


def gaussian(case: Case) -> dict[str, Denoise]:
    """Return Gaussian filters of several widths."""
    return {f"{w:g} px": partial(_filter, models.Gaussian(w)) for w in _GAUSSIAN_WIDTHS}


def patch_pca(case: Case) -> dict[str, Denoise]:
    """Return in-image patch PCA of 16, 32 and 64 components."""
    return {f"{k} components": partial(_filter, models.PatchPCA(k)) for k in _COMPONENTS}


def bm3d(case: Case) -> dict[str, Denoise]:
    """Return BM3D at several noise levels around the true one.

    Raises:
        ValueError: If it is not installed.
    """
    return {f"{f:g} sigma": partial(_scaled, models.BM3D, f * _noise_of(case)) for f in _SIGMAS}


def non_local_means(case: Case) -> dict[str, Denoise]:
    """Return non-local means at several noise levels around the true one."""
    return {
        f"{f:g} sigma": partial(_scaled, models.NonLocalMeans, f * _noise_of(case))
        for f in (0.5, 1.0)
    }


METHODS: dict[str, Callable[[], Candidates]] = {
    "denoise": mixture,
    "denoise with uncertainty": partial(mixture, uncertainty=True),
    "denoise, remove_waves": partial(mixture, remove_waves=True),
    "denoise, rows aligned": partial(mixture, prepare=["rows_differences"]),
    "network alone": partial(network_alone, DEFAULT),
    "patch PCA": lambda: patch_pca,
    "Gaussian": lambda: gaussian,
    "BM3D": lambda: bm3d,
    "non-local means": lambda: non_local_means,
}


def method_named(name: str) -> Candidates:
    """Return a method of ``METHODS``, or a trained model by its file or name.

    The model alone, applied once, or in the mixture of ``denoise`` if the name begins with
    ``denoise by``.

    Raises:
        ValueError: If it does not exist or is not installed.
    """
    if name == "BM3D":
        models.BM3D()  # says where it is missing
    if name.startswith(_MIXED):
        return mixture(name.removeprefix(_MIXED))
    return METHODS[name]() if name in METHODS else network_alone(name)


def _noise_of(case: Case) -> float:
    """Return the true standard deviation of the noise without its plane."""
    return max(float(np.std(case.noisy - case.clean)), 1e-6)


def _pass(apply: Callable[[Tensor], Tensor], normalisation: str, image: Array) -> Estimate:
    """Map an image to [-1, 1], apply, and map back."""
    pixels, affine = NORMALISATIONS[normalisation](image)
    with torch.inference_mode():
        output = apply(torch.from_numpy(pixels))
    return Estimate(denormalise(output.numpy().astype(np.float64), affine))


def _filter(baseline: models.interfaces.NetworkModule, image: Array) -> Estimate:
    """Apply a baseline on the scale of a network."""
    return _pass(lambda x: baseline(x[None, None])[0, 0], "plane", image)


def _scaled(kind: Callable[[float], models.interfaces.NetworkModule], sigma: float,
            image: Array) -> Estimate:  # fmt: skip
    """Apply a baseline whose noise level is given in the unit of the image."""
    scale = NORMALISATIONS["plane"](image)[1].scale
    return _filter(kind(sigma / scale), image)
