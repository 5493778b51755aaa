"""Images of the SrTiO3 benchmark, and the least errors of any fit to them."""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.seeds import seed_of
from stm_experiments.simulator import (
    LATTICES,
    NOISES,
    PRESETS,
    AnyLattice,
    FlatLattice,
    Noise,
    render_topographs,
    simulate,
)

WINDOW = 28  # px, side of the patches
SIZE = 3 * WINDOW  # px, side of the images from which nine patches are cut
SNR = 0.33
_TRIES = 5_000  # crystals per batch, to bound the memory


class PatchImages(NamedTuple):
    """Images cut into nine patches each, on the noisy images' scale [-1, 1].

    Attributes:
        noisy: The whole images, [N, 1, 84, 84].
        clean: The same without noise.
        range: Largest minus smallest value of each clean image, [N].
    """

    noisy: Tensor
    clean: Tensor
    range: Tensor


def nine_patches(images: Tensor) -> Tensor:
    """Cut images [N, 1, 84, 84] into nine patches each, [9 N, 1, 28, 28]."""
    rows = images.unfold(2, WINDOW, WINDOW).unfold(3, WINDOW, WINDOW)
    return rows.reshape(-1, 1, WINDOW, WINDOW)


def srtio3_of_constant(pixels: float) -> FlatLattice:
    """Return SrTiO3 of another lattice constant, px; the columns' width grows with it."""
    lattice = LATTICES["srtio3"]
    assert isinstance(lattice, FlatLattice)
    return replace(lattice, spread=pixels)


def patch_images(lattice: AnyLattice, count: int, noise: Noise = NOISES["srtio3"]) -> PatchImages:
    """Simulate images of seeds that no training uses, for at least so many patches."""
    images = math.ceil(count / 9)
    seeds = [seed_of("srtio3", lattice.name, lattice.spread, index) for index in range(images)]
    parts = [
        simulate([lattice] * len(some), some, noise, PRESETS["physical"], SIZE)
        for some in (seeds[i : i + 64] for i in range(0, images, 64))
    ]
    noisy, clean = (torch.cat([getattr(x, name) for x in parts]) for name in ("noisy", "clean"))
    low, high = noisy.amin((1, 2, 3), keepdim=True), noisy.amax((1, 2, 3), keepdim=True)
    scale = 2 / (high - low)
    clean = (clean - low) * scale - 1
    span = clean.amax((1, 2, 3)) - clean.amin((1, 2, 3))
    return PatchImages((noisy - low) * scale - 1, clean, span)


def relative_error(output: Tensor, images: PatchImages) -> Tensor:
    """Return the mean |error| of each image's patches over the range of its clean signal, [N].

    Args:
        output: For the patches, [9 N, 1, 28, 28], or for the images, [N, 1, 84, 84].
        images: With the truth.
    """
    if output.shape[-1] == SIZE:
        output = nine_patches(output)
    errors = (output - nine_patches(images.clean)).abs().mean((1, 2, 3))
    return errors.view(-1, 9).mean(1) / images.range


def perfect_patches(parameters: Tensor) -> Tensor:
    """Draw perfect patches by place (px along both axes), turn (degrees), constant (px), [N, 4].

    Returns:
        Heights over that of a Sr column, [N, 28, 28].
    """
    patches = []
    for x, y, turn, constant in parameters.tolist():
        lattice = replace(srtio3_of_constant(constant), rotation_max=360.0)
        # The origin's place along a and b, which are turned from axis 0 (``flat.turned_basis``).
        angle = math.radians(turn)
        cos, sin = math.cos(angle), math.sin(angle)
        offset = [(cos * x - sin * y) / constant, (sin * x + cos * y) / constant, 0.0]
        orientation = [0.0, 0.0, (turn % 360) / 360]
        patches.append(
            render_topographs(lattice, orientation, size=WINDOW, offset=offset)[0, 0] / 4
        )
    return torch.stack(patches)


def error_bounds(count: int, constant: float = 10.0, seed: int = 0) -> dict[str, float]:
    """Return the least mean |error| of perfect lattices fitted to patches, over the range.

    Least squares: the Cramer-Rao bound of normal noise of the same deviation, linearised at the
    truth, which least squares reach without outliers; place and turn are unknown, and in one case
    the lattice constant too. The range of evenly distributed noise is sharp and holds more
    information than its standard deviation (its Fisher information is infinite): ``range`` is the
    error of the mean of all crystals of unknown place and turn that are consistent with it. No
    method has a smaller squared error.

    Args:
        count: PatchImages over which it is averaged.
        constant: Lattice constant, px.
        seed: Of the patches.

    Returns:
        ``least squares``, ``least squares, constant unknown``, ``range``: shares.
    """
    random = torch.Generator().manual_seed(seed)
    steps = torch.tensor([0.02, 0.02, 0.1, 0.01], dtype=torch.float64)
    errors: dict[str, list[float]] = {}
    for _ in range(count):
        draws = torch.rand(3, generator=random, dtype=torch.float64)
        truth = torch.tensor(
            [*(draws[:2] * constant), 45 * draws[2], constant], dtype=torch.float64
        )
        shifts = torch.diag(steps)
        ideal = perfect_patches(truth[None])[0]
        slopes = (perfect_patches(truth + shifts) - perfect_patches(truth - shifts)).flatten(
            1
        ).T.double() / (2 * steps)
        span = float(ideal.max() - ideal.min())
        deviation = float(ideal.std(correction=0)) / SNR
        for name, unknowns in (("least squares", 3), ("least squares, constant unknown", 4)):
            jacobian = slopes[:, :unknowns]
            inverse = torch.linalg.inv(jacobian.T @ jacobian)
            variance = deviation**2 * ((jacobian @ inverse) * jacobian).sum(1)
            mean = float((variance * 2 / math.pi).sqrt().mean())
            errors.setdefault(name, []).append(mean / span)
        half = math.sqrt(3) * deviation
        noise = half * (2 * torch.rand(slopes.shape[0], generator=random, dtype=torch.float64) - 1)
        errors.setdefault("range", []).append(_within(slopes[:, :3], noise, half, random) / span)
    return {name: sum(values) / len(values) for name, values in errors.items()}


def _within(slopes: Tensor, noise: Tensor, half: float, random: torch.Generator) -> float:
    """Return the mean |error| of the mean of all crystals whose noise stays in its range.

    Args:
        slopes: Derivatives of the patch after its parameters, [P, K].
        noise: The true noise, [P], evenly distributed on +-``half``.
        half: Half of its range.
        random: Draws the crystals.
    """
    # The crystals that fit lie well within one deviation of least squares from the truth.
    deviation = half / math.sqrt(3) * torch.linalg.inv(slopes.T @ slopes).diagonal().sqrt()
    some = _fitting(slopes, noise, half, deviation, 20, random)
    all_of_them = _fitting(slopes, noise, half, 1.5 * some.abs().amax(0), 200, random)
    return float((slopes @ all_of_them.mean(0)).abs().mean())


def _fitting(
    slopes: Tensor, noise: Tensor, half: float, reach: Tensor, count: int, random: torch.Generator
) -> Tensor:
    """Draw at least ``count`` crystals whose noise stays in its range, [count, K]."""
    crystals = torch.empty(0, len(reach), dtype=torch.float64)
    while len(crystals) < count:
        candidates = 2 * torch.rand(_TRIES, len(reach), generator=random, dtype=torch.float64) - 1
        candidates *= reach
        fits = ((noise - candidates @ slopes.T).abs() <= half).all(1)
        crystals = torch.cat([crystals, candidates[fits]])
    return crystals
