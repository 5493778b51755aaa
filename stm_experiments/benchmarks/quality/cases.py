"""The images of the quality benchmark, each with what is true of it."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stm_experiments.core.noise import noise_sigma
from stm_experiments.core.normalisation import NORMALISATIONS, normalise_minmax
from stm_experiments.core.seeds import seed_of
from stm_experiments.data.sources.images import list_files, load_pair
from stm_experiments.lattice import atoms
from stm_experiments.simulator import (
    CUT_LATTICES,
    LATTICES,
    NOISES,
    PRESETS,
    Noise,
    Topographs,
    simulate,
)
from stm_experiments.simulator.rendering.render import Centres, draw, window

PRESET = PRESETS["physical"]
PUBLISHED = ("sc", "bcc", "fcc")
# What the paper's noise is without its striation: white noise and the sample's own variation.
WHITE = replace(NOISES["paper"], scan=NOISES["none"].scan)
SITES = 9  # vacancies of a vacancy test, at most
VACANCY_SIZE = 129  # px; all networks run on these images too


class Vacancies(NamedTuple):
    """An image in which some atoms are missing.

    Attributes:
        noisy: What the denoiser gets, [H, W].
        full: The clean image with all atoms, [H, W].
        vacant: The clean image without them, [H, W].
        sites: Where they are missing, [S, 2] px.
    """

    noisy: Tensor
    full: Tensor
    vacant: Tensor
    sites: atoms.Points


class Case(NamedTuple):
    """One image.

    Attributes:
        lattice: Its name.
        noise: Name of the noise, or ``published``.
        normalisation: How it was brought to [-1, 1]: ``minmax`` or ``plane``.
        noisy: [H, W].
        clean: [H, W], in the noisy image's scale.
        true: Positions of the atoms that can be seen, [A, 2] px; None where they are not known.
        bound: The least error of these, px; see ``atoms.position_bound``.
        vacancies: The vacancy test, where there is one.
        corrugation: Largest minus smallest value of the clean image.
    """

    lattice: str
    noise: str
    normalisation: str
    noisy: Tensor
    clean: Tensor
    true: atoms.Points | None
    bound: float
    vacancies: Vacancies | None
    corrugation: float


def noise_of(name: str) -> Noise:
    """The noise of a name: those of the simulator, and ``white``.

    Raises:
        ValueError: If the name is not known.
    """
    known = {**NOISES, "white": WHITE}
    if name not in known:
        raise ValueError(f"noise {name!r} is not known; there are {', '.join(known)}")
    return known[name]


def scaled_noise(noise: Noise, factor: float) -> Noise:
    """The paper's noise with striation and detector noise times a factor; the sample stays."""
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
    """A strength, or both ends of its range, times a factor."""
    if isinstance(strength, tuple):
        return factor * strength[0], factor * strength[1]
    return factor * strength


def simulated_case(
    lattice: str, name: str, index: int, size: int = 257, noise: Noise | None = None
) -> Case:
    """A simulated image that nothing was trained on: its seed has a key of its own.

    The paper's noises are scaled by the noisy image's minimum and maximum, like its images; the
    others like scans: the plane off, 1st and 99th percentile to -1 and 1. The clean image gets the
    same factor and the offset at which the two have the same median.

    Args:
        lattice: Its name.
        name: Name of the noise.
        index: Number of the image.
        size: Height and width, px.
        noise: Its strengths; None: those of the name.
    """
    noise = noise or noise_of(name)
    seed = seed_of("quality", lattice, index)
    topographs = simulate([LATTICES[lattice]], [seed], noise, PRESET, size)
    papers = name in ("none", "paper", "white")
    vacancies = None
    if papers and lattice in CUT_LATTICES:
        vacancies = vacancy_test(lattice, noise, index, min(size, VACANCY_SIZE))
    normalisation = "minmax" if papers else "plane"
    noisy, clean, scale = _normalised(topographs, normalisation)
    places = torch.stack([topographs.atoms.u[0], topographs.atoms.v[0]], 1).numpy()
    true = atoms.visible_atoms(places[topographs.atoms.present[0].numpy()], clean)
    pixel = np.rint(true).astype(int)
    heights = topographs.clean[0, 0].double().numpy()[pixel[:, 0], pixel[:, 1]] / scale
    sigma = noise_sigma((noisy - clean).numpy())
    return Case(
        lattice,
        name,
        normalisation,
        noisy,
        clean,
        true,
        atoms.position_bound(sigma, heights),
        vacancies,
        float(clean.max() - clean.min()),
    )


def _normalised(topographs: Topographs, normalisation: str) -> tuple[Tensor, Tensor, float]:
    """Noisy and clean [H, W] on about [-1, 1], and the height of one unit."""
    image = topographs.noisy[0, 0].numpy()
    noisy, affine = NORMALISATIONS[normalisation](image)
    clean = topographs.clean[0, 0] / affine.scale
    if normalisation == "minmax":
        offset = -affine.shift / affine.scale
    else:
        offset = float((torch.from_numpy(noisy) - clean).median())
    return torch.from_numpy(noisy), clean + offset, affine.scale


def vacancy_test(lattice: str, noise: Noise, index: int, size: int) -> Vacancies:
    """The same noise on an image from which some visible atoms of the topmost layer are taken.

    All atoms have the width of their depth here, so that the image can be drawn again without some.
    """
    noise = replace(noise, sample=replace(noise.sample, width_jitter=0.0))
    kind, seed = CUT_LATTICES[lattice], seed_of("quality", "vacancies", lattice, index)
    topographs = simulate([kind], [seed], noise, PRESET, size)
    u, v, depth, present = topographs.atoms
    before = (window(kind, PRESET) - 1) // 2
    centres = Centres(u, v, u.floor().long() - before, v.floor().long() - before)
    full = topographs.clean[0, 0]
    again = draw(centres, depth, present, kind, PRESET, size)[0, 0]
    if not torch.allclose(full, again, atol=1e-3):
        raise ValueError("the simulator draws atoms otherwise than the vacancy test does")

    places = torch.stack([u[0], v[0]], 1).numpy()
    inside = ((places >= 12) & (places <= size - 13)).all(1)
    topmost = (present & (depth < 0.1))[0].numpy()
    chosen: list[int] = []
    for atom in np.random.default_rng(index).permutation(np.flatnonzero(inside & topmost)):
        distances = np.linalg.norm(places[chosen] - places[atom], axis=1)
        if len(chosen) < SITES and (distances > 3 * kind.spread).all():
            chosen.append(int(atom))
    left = present.clone()
    left[0, chosen] = False
    vacant = draw(centres, depth, left, kind, PRESET, size)[0, 0]
    noisy, affine = normalise_minmax((topographs.noisy[0, 0] - full + vacant).numpy())
    return Vacancies(
        torch.from_numpy(noisy),
        (full - affine.shift) / affine.scale,
        (vacant - affine.shift) / affine.scale,
        places[chosen],
    )


def published_cases(root: str | Path) -> list[Case]:
    """The published validation pairs at their native size, the clean ones affine-fitted.

    Args:
        root: Folder that holds ``sc/validation``, ``sc/validation_clean`` and so on.

    Raises:
        ValueError: If it does not hold such pairs.
    """
    if not Path(root).is_dir():
        raise ValueError(f"--published: there is no folder {root}")
    cases = []
    for lattice in PUBLISHED:
        for file in list_files(Path(root), [lattice], "validation"):
            noisy, clean = (torch.from_numpy(x) for x in load_pair(file, None) if x is not None)
            span = float(clean.max() - clean.min())
            none = float("nan")
            cases.append(Case(lattice, "published", "minmax", noisy, clean, None, none, None, span))
    if not cases:
        raise ValueError(f"--published: {root} holds no validation pairs of {PUBLISHED}")
    return cases
