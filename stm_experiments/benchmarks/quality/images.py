"""The images of the quality benchmark, each with its truth."""

import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stm_experiments.core.arrays import Points
from stm_experiments.core.noise import noise_sigma
from stm_experiments.core.normalisation import NORMALISATIONS, normalise_minmax
from stm_experiments.core.seeds import seed_of
from stm_experiments.data.sources.images import list_files, load_pair
from stm_experiments.lattice.atom_errors import position_bound, visible_atoms
from stm_experiments.simulator import (
    CUT_LATTICES,
    LATTICES,
    NOISES,
    PRESETS,
    Noise,
    Topographs,
    simulate,
)
from stm_experiments.simulator.rendering.render import Centres, DrawnAtoms, draw, window_width

PRESET = PRESETS["physical"]
PUBLISHED = ("sc", "bcc", "fcc")
# The paper's noise without its striation: white noise and the variation of the sample.
PAPER_WHITE = "paper_white"
WHITE = replace(NOISES["paper"], scan=NOISES["none"].scan)
VACANCIES = 9  # of a vacancy test, at most
VACANCY_SIZE = 129  # px, to save time


class VacancyTest(NamedTuple):
    """An image in which some atoms are missing.

    Attributes:
        noisy: The input of the denoiser, [H, W].
        full: The clean image with all atoms, [H, W].
        vacant: The clean image without them, [H, W].
        sites: Where atoms are missing, [S, 2] px.
    """

    noisy: Tensor
    full: Tensor
    vacant: Tensor
    sites: Points


class KnownImage(NamedTuple):
    """One image with its truth.

    Attributes:
        lattice: Its name.
        noise: Name of the noise, or ``published``.
        normalisation: Its map to [-1, 1]: ``minmax`` or ``plane``.
        noisy: [H, W].
        clean: On the noisy image's scale, [H, W].
        positions: Positions of the visible atoms, [A, 2] px; None where they are not known.
        bound: Least possible error of these positions, px; see ``position_bound``.
        vacancies: The vacancy test, where there is one.
        corrugation: Largest minus smallest value of the clean image.
    """

    lattice: str
    noise: str
    normalisation: str
    noisy: Tensor
    clean: Tensor
    positions: Points | None
    bound: float
    vacancies: VacancyTest | None
    corrugation: float


def named_noise(name: str) -> Noise:
    """Return the noise of a name: those of the simulator, and ``paper_white``.

    Raises:
        ValueError: If the name is not known.
    """
    noises = {**NOISES, PAPER_WHITE: WHITE}
    if name not in noises:
        raise ValueError(f"noise {name!r} is not known; there are {', '.join(noises)}")
    return noises[name]


def scaled_noise(noise: Noise, factor: float) -> Noise:
    """Return the paper's noise with striation and detector noise times a factor."""
    scan, detector = noise.scan, noise.detector
    return replace(
        noise,
        scan=replace(scan, striation=_times(factor, scan.striation)),
        detector=replace(
            detector,
            gaussian=_times(factor, detector.gaussian),
            poisson=_times(factor, detector.poisson),
        ),
    )


def _times(factor: float, strength: float | tuple[float, float]) -> float | tuple[float, float]:
    """Multiply a strength, or both ends of its range, by a factor."""
    if isinstance(strength, tuple):
        return factor * strength[0], factor * strength[1]
    return factor * strength


def simulated_image(
    lattice: str, name: str, index: int, size: int = 257, noise: Noise | None = None
) -> KnownImage:
    """Simulate an image of a seed that no training uses.

    Images with the paper's noises are scaled by the noisy image's minimum and maximum, like the
    paper's images; others like scans: the plane is subtracted, 1st and 99th percentile become -1
    and 1. The clean image gets the same factor and the offset at which both have the same median.

    Args:
        lattice: Its name.
        name: Name of the noise.
        index: Number of the image.
        size: Height and width, px.
        noise: Its strengths; None: those of the name.
    """
    noise = noise or named_noise(name)
    seed = seed_of("quality", lattice, index)
    topographs = simulate([LATTICES[lattice]], [seed], noise, PRESET, size)
    of_the_paper = name in ("none", "paper", PAPER_WHITE)
    vacancies = None
    if of_the_paper and lattice in CUT_LATTICES:
        vacancies = vacancy_test(lattice, noise, index, min(size, VACANCY_SIZE))
    normalisation = "minmax" if of_the_paper else "plane"
    noisy, clean, scale = _normalised(topographs, normalisation)
    places = torch.stack([topographs.atoms.u[0], topographs.atoms.v[0]], 1).numpy()
    positions = visible_atoms(places[topographs.atoms.present[0].numpy()], clean)
    pixel = np.rint(positions).astype(int)
    heights = topographs.clean[0, 0].double().numpy()[pixel[:, 0], pixel[:, 1]] / scale
    sigma = noise_sigma((noisy - clean).numpy())
    return KnownImage(
        lattice,
        name,
        normalisation,
        noisy,
        clean,
        positions,
        bound=position_bound(sigma, heights),
        vacancies=vacancies,
        corrugation=float(clean.max() - clean.min()),
    )


class _Pair(NamedTuple):
    """Noisy and clean image, [H, W], and the height of one unit."""

    noisy: Tensor
    clean: Tensor
    scale: float


def _normalised(topographs: Topographs, normalisation: str) -> _Pair:
    """Return noisy and clean [H, W] on about [-1, 1]."""
    image = topographs.noisy[0, 0].numpy()
    noisy, affine = NORMALISATIONS[normalisation](image)
    clean = topographs.clean[0, 0] / affine.scale
    if normalisation == "minmax":
        offset = -affine.shift / affine.scale
    else:
        offset = float((torch.from_numpy(noisy) - clean).median())
    return _Pair(torch.from_numpy(noisy), clean + offset, affine.scale)


def vacancy_test(lattice: str, noise: Noise, index: int, size: int) -> VacancyTest:
    """Remove some visible atoms of the topmost layer from an image and keep its noise.

    All atoms have the width of their depth here, so that the image can be drawn again without some.
    """
    noise = replace(noise, sample=replace(noise.sample, width_jitter=0.0))
    kind, seed = CUT_LATTICES[lattice], seed_of("quality", "vacancies", lattice, index)
    topographs = simulate([kind], [seed], noise, PRESET, size)
    u, v, depth, present = topographs.atoms
    before = (window_width(kind, PRESET) - 1) // 2
    centres = Centres(u, v, u.floor().long() - before, v.floor().long() - before)
    full = topographs.clean[0, 0]
    again = draw(DrawnAtoms(centres, depth, present), kind, PRESET, size)[0, 0]
    if not torch.allclose(full, again, atol=1e-3):
        raise ValueError("the vacancy test draws atoms differently from the simulator")

    places = torch.stack([u[0], v[0]], 1).numpy()
    inside = ((places >= 12) & (places <= size - 13)).all(1)
    topmost = (present & (depth < 0.1))[0].numpy()
    chosen: list[int] = []
    for atom in np.random.default_rng(index).permutation(np.flatnonzero(inside & topmost)):
        distances = np.linalg.norm(places[chosen] - places[atom], axis=1)
        if len(chosen) < VACANCIES and (distances > 3 * kind.spread).all():
            chosen.append(int(atom))
    remaining = present.clone()
    remaining[0, chosen] = False
    vacant = draw(DrawnAtoms(centres, depth, remaining), kind, PRESET, size)[0, 0]
    noisy, affine = normalise_minmax((topographs.noisy[0, 0] - full + vacant).numpy())
    return VacancyTest(
        torch.from_numpy(noisy),
        (full - affine.shift) / affine.scale,
        (vacant - affine.shift) / affine.scale,
        places[chosen],
    )


def published_images(root: str | Path) -> list[KnownImage]:
    """Read the published validation pairs at their native size, the clean ones affine-fitted.

    Args:
        root: Folder that holds ``sc/validation``, ``sc/validation_clean`` and so on.

    Raises:
        ValueError: If it does not hold such pairs.
    """
    if not Path(root).is_dir():
        raise ValueError(f"--published: there is no folder {root}")
    images = []
    for lattice in PUBLISHED:
        for file in list_files(Path(root), [lattice], "validation"):
            noisy, clean = (torch.from_numpy(x) for x in load_pair(file, None) if x is not None)
            images.append(
                KnownImage(
                    lattice,
                    "published",
                    "minmax",
                    noisy,
                    clean,
                    positions=None,
                    bound=math.nan,
                    vacancies=None,
                    corrugation=float(clean.max() - clean.min()),
                )
            )
    if not images:
        raise ValueError(f"--published: {root} holds no validation pairs of {PUBLISHED}")
    return images
