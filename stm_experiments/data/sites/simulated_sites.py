"""Site patches of simulated images."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from stm_experiments.core.seeds import seed_of
from stm_experiments.data.settings import SPLITS, PatchSettings, check_counts, part_of
from stm_experiments.data.sites.site_data import check_site_settings
from stm_experiments.data.sites.site_loader import SiteImages
from stm_experiments.data.sites.sites import SiteImage, make_site_image
from stm_experiments.data.sources.simulated import check_presets, choose_lattices
from stm_experiments.lattice.fit import LatticeError
from stm_experiments.simulator import (
    PRESETS,
    AnyLattice,
    DefectCode,
    Noise,
    Topographs,
    simulate,
)

log = logging.getLogger(__name__)

NEAR = 0.4  # of a true atom or defect from its site, distances of nearest neighbours


@dataclass(frozen=True)
class SimulatedSites:
    """Sites of simulated lattices; each image is turned at random; the images are fixed.

    The sites are found in the noisy images, as they are in real ones. What is true of them
    (``SiteImage.truth``) is used by no training:

    - ``kind``: index in the lattice's sites of the atom that belongs there; the number of these for
      a hollow,
    - ``defect``: a ``DefectCode``,
    - ``beside``: whether a defect of another site lies in the patch,
    - ``turn``: angle by which the crystal is turned, from image axis 1 towards axis 0, rad.

    Attributes:
        lattices: Settings by lattice name, such as spread (px per lattice constant).
        noise: Strengths of all noises and artefacts.
        images_per_epoch: Training images.
        validation_images: Images that choose the best epoch.
        test_images: Images whose sites are examined, and which no training uses.
        preset: ``physical``, ``published`` or ``released``.
        size: Image height and width, px.
        width: Side of a patch, distances of nearest neighbours.
        fraction: Use only this part of the images.
    """

    lattices: Mapping[str, Mapping[str, Any]]
    noise: Noise
    images_per_epoch: int
    validation_images: int
    test_images: int
    preset: str = "physical"
    size: int = 257
    width: float = 3.0
    fraction: float = 1.0

    def splits(self, settings: PatchSettings) -> dict[str, SiteImages]:
        """Simulate the images and find their sites.

        Raises:
            ValueError: If a name or number makes no sense, or no lattice is found.
        """
        check_site_settings(settings)
        counts = {
            "images_per_epoch": self.images_per_epoch,
            "validation_images": self.validation_images,
            "test_images": self.test_images,
        }
        check_counts(size=self.size, **counts)
        check_presets([self.preset])
        lattices = choose_lattices(self.lattices)
        sources = {}
        for split, count in zip(SPLITS, counts.values(), strict=True):
            numbers = range(part_of(count, self.fraction))
            turns = [lattices[number % len(lattices)] for number in numbers]
            seeds = [seed_of(settings.seed, split, 0, number, "image") for number in numbers]
            topographs = simulate(turns, seeds, self.noise, PRESETS[self.preset], self.size)
            images = find_simulated_sites(topographs, turns, settings.window, self.width)
            sources[split] = SiteImages(images)
        return sources


def find_simulated_sites(
    topographs: Topographs, lattices: Sequence[AnyLattice], window: int, width: float
) -> list[SiteImage]:
    """Find the sites of simulated images; log and leave out images in which no lattice is found.

    Args:
        topographs: The images.
        lattices: Lattice of each image.
        window: Side of the patches, px.
        width: The same in distances of nearest neighbours.

    Raises:
        ValueError: If no image is left.
    """
    images = []
    for index, lattice in enumerate(lattices):
        name = f"{lattice.name} {index}"
        data = topographs.noisy[index, 0].double().numpy()
        try:
            image = make_site_image(name, data, window, width)
        except LatticeError as error:
            log.warning("left out: %s: %s", name, error)
            continue
        truth = truth_of(image, topographs, index, lattice, width)
        label = int(topographs.lattice[index])
        orientation = topographs.orientation[index]
        images.append(replace(image, truth=truth, lattice=label, orientation=orientation))
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
