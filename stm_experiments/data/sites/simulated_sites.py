"""Site patches of simulated lattices."""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from stm_experiments.core.seeds import seed_of
from stm_experiments.data.batch import SPLITS
from stm_experiments.data.module import check_counts
from stm_experiments.data.sites.site_data import SiteData
from stm_experiments.data.sites.site_loader import SiteSource
from stm_experiments.data.sites.sites import SiteImage, find_sites
from stm_experiments.data.sources.simulated import chosen_lattices, part_of
from stm_experiments.lattice.fit import LatticeError
from stm_experiments.simulator import (
    PRESETS,
    AnyLattice,
    DefectCode,
    Noise,
    Preset,
    Topographs,
    simulate,
)

log = logging.getLogger(__name__)

NEAR = 0.4  # of a true atom or defect from its site, distances of nearest neighbours


class SimulatedSites(SiteData):
    """Patches around the sites of simulated lattices, each image turned at random; fixed images.

    The sites are found in the noisy images, as they would be in real ones. What is true of them
    (``SiteImage.truth``) is used by no training:

    - ``kind``: index in the lattice's sites of the atom that belongs there; the number of these for
      a hollow,
    - ``defect``: a ``DefectCode``,
    - ``beside``: whether a defect of another site lies in the patch,
    - ``turn``: by how much the crystal is turned, from image axis 1 towards axis 0, rad.

    Args:
        lattices: Settings by lattice name, such as spread (px per lattice constant).
        noise: Strengths of everything that spoils an image.
        preset: ``physical``, ``published`` or ``released``.
        size: Image height and width, px.
        images_per_epoch: Training images.
        validation_images: Images on which the best epoch is chosen.
        test_images: Images whose sites are examined, which no training has seen.
        width: Side of a patch, distances of nearest neighbours.
        window: Side of a patch, px; the network's.
        batch_size: Patches of a training step.
        augment: Turn, mirror and shift the training patches.
        fraction: Use only this part of the images.
        seed: Of everything random.
        need_clean: Whether training needs noise-free partners: it cannot have them.

    Raises:
        ValueError: If a name or number makes no sense, or no lattice is found.
    """

    def __init__(
        self,
        *,
        lattices: Mapping[str, Mapping[str, Any]],
        noise: Noise,
        preset: str,
        size: int,
        images_per_epoch: int,
        validation_images: int,
        test_images: int,
        width: float = 3.0,
        window: int,
        batch_size: int,
        augment: bool,
        seed: int,
        fraction: float = 1.0,
        need_clean: bool = False,
    ) -> None:
        counts = {
            "images_per_epoch": images_per_epoch,
            "validation_images": validation_images,
            "test_images": test_images,
        }
        check_counts(size=size, **counts)
        if preset not in PRESETS:
            raise ValueError(f"data.preset is one of {', '.join(PRESETS)}, not {preset!r}")
        kinds = chosen_lattices(lattices)
        sources = {}
        for split, count in zip(SPLITS, counts.values(), strict=True):
            number = part_of(count, fraction)
            seeds = [seed_of(seed, split, 0, index, "image") for index in range(number)]
            shown = [kinds[index % len(kinds)] for index in range(number)]
            images = simulated_sites(shown, seeds, noise, PRESETS[preset], size, window, width)
            sources[split] = SiteSource(images)
        self._prepare(sources, window, batch_size, augment, seed, need_clean)


def simulated_sites(
    lattices: list[AnyLattice],
    seeds: list[int],
    noise: Noise,
    preset: Preset,
    size: int,
    window: int,
    width: float,
) -> list[SiteImage]:
    """Simulates images and finds their sites; one without a lattice is logged and left out.

    Args:
        lattices: Of each image.
        seeds: Of each image.
        noise: Strengths of everything that spoils it.
        preset: The simulator's version.
        size: Image height and width, px.
        window: Side of the patches, px.
        width: The same in distances of nearest neighbours.

    Raises:
        ValueError: If no image is left.
    """
    topographs = simulate(lattices, seeds, noise, preset, size)
    images = []
    for index, lattice in enumerate(lattices):
        name = f"{lattice.name} {index}"
        data = topographs.noisy[index, 0].double().numpy()
        try:
            found = find_sites(name, data, window, width)
        except LatticeError as error:
            log.warning("left out: %s: %s", name, error)
            continue
        truth = truth_of(found, topographs, index, lattice, width)
        label = int(topographs.lattice[index])
        orientation = topographs.orientation[index]
        images.append(replace(found, truth=truth, lattice=label, orientation=orientation))
    if not images:
        raise ValueError("no lattice was found in any simulated image: lower the noise")
    return images


def truth_of(
    found: SiteImage, topographs: Topographs, index: int, lattice: AnyLattice, width: float
) -> dict[str, NDArray[Any]]:
    """What is true of the sites found in one of some simulated images, by name, [S] each.

    Which atom belongs on a site is that of most sites of its kind, so that vacant sites and those
    of foreign atoms have one too.

    Args:
        found: The sites.
        topographs: The images.
        index: Which of them.
        lattice: Its lattice.
        width: Side of a patch, distances of nearest neighbours.
    """
    truth, present = topographs.truth, topographs.atoms.present[index]
    names = [site.species for site in getattr(lattice, "sites", ())] or ["atom"]
    of = truth["site"][index] if "site" in truth else torch.zeros(len(present))
    regular = present & (of >= 0)
    atoms = torch.stack([topographs.atoms.u[index], topographs.atoms.v[index]], 1)[regular]
    distance, nearest = KDTree(atoms.numpy()).query(found.position)
    hit = distance < NEAR * found.spacing
    species = of[regular].numpy()[nearest].astype(int)
    kind = np.full(len(found.kind), len(names))
    for each in np.unique(found.kind):
        own = found.kind == each
        if hit[own].mean() > 0.5:
            kind[own] = np.bincount(species[own & hit]).argmax()
    defect = np.zeros(len(kind), int)
    beside = np.zeros(len(kind), int)
    if "defect_kind" in truth and bool((truth["defect_kind"][index] > 0).any()):
        real = truth["defect_kind"][index] > 0
        what = truth["defect_kind"][index][real].long().numpy()
        if "defect_substitute" in truth:
            parts = [0, *("vacancy" in x.name for x in getattr(lattice, "substitutes", ()))]
            partly = np.array(parts, bool)[truth["defect_substitute"][index][real].long().numpy()]
            what = np.where(partly, DefectCode.PARTIAL_VACANCY, what)
        tree = KDTree(truth["defect_position"][index][real].numpy())
        distance, nearest = tree.query(found.position)
        own = distance < NEAR * found.spacing
        defect = np.where(own, what[nearest], DefectCode.NONE)
        reach = (width / 2 + 0.3) * found.spacing
        beside = tree.query_ball_point(found.position, reach, return_length=True) - own > 0
    turn = float(topographs.orientation[index, 2]) * math.radians(lattice.rotation_max)
    return {
        "kind": kind,
        "defect": defect,
        "beside": beside.astype(int),
        "turn": np.full(len(kind), turn),
    }
