"""Site patches of simulated images."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from stm_experiments.core.seeds import seed_of
from stm_experiments.data.settings import SPLITS, PatchSettings, check_whole_numbers, part_of
from stm_experiments.data.sites.site_data import check_site_settings
from stm_experiments.data.sites.site_loader import SiteImages
from stm_experiments.data.sites.sites import SiteImage, make_site_image
from stm_experiments.data.sources.simulated import check_presets
from stm_experiments.lattice.vectors import LatticeError
from stm_experiments.simulator import (
    PRESETS,
    AnyLattice,
    DefectCode,
    FlatLattice,
    Noise,
    Topographs,
    choose_lattices,
    simulate,
)

log = logging.getLogger(__name__)

NEAR = 0.4  # largest distance of an atom or defect from its site, distances of nearest neighbours


@dataclass(frozen=True)
class SimulatedSites:
    """Sites of simulated lattices; each image is turned at random; the images are fixed.

    The sites are found in the noisy images, as they are in real ones. What is true of them
    (``SiteImage.truth``) is used by no training:

    - ``kind``: index in the lattice's sites of the atom that belongs there; the number of these for
      a hollow,
    - ``defect``: a ``DefectCode``,
    - ``defect_nearby``: whether a defect of another site lies in the patch,
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
        check_whole_numbers(size=self.size, **counts)
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
        truth = find_truth(image, topographs, index, lattice, width)
        label = int(topographs.lattice[index])
        orientation = topographs.orientation[index]
        images.append(replace(image, truth=truth, lattice=label, orientation=orientation))
    if not images:
        raise ValueError("no lattice was found in any simulated image: lower the noise")
    return images


def find_truth(
    image: SiteImage, topographs: Topographs, index: int, lattice: AnyLattice, width: float
) -> dict[str, NDArray[Any]]:
    """Return what is true of the sites of a simulated image, as in ``SimulatedSites``, [S] each.

    Args:
        image: The sites.
        topographs: The simulated images.
        index: Index of the image in ``topographs``.
        lattice: Its lattice.
        width: Side of a patch, distances of nearest neighbours.
    """
    defects = _find_defects(image, topographs, index, lattice, width)
    turn = float(topographs.orientation[index, 2]) * math.radians(lattice.rotation_max)
    return {
        "kind": _find_kinds(image, topographs, index, lattice),
        "defect": defects.code,
        "defect_nearby": defects.nearby,
        "turn": np.full(len(image.kind), turn),
    }


def _find_kinds(
    image: SiteImage, topographs: Topographs, index: int, lattice: AnyLattice
) -> NDArray[np.int64]:
    """Return which atom of the lattice belongs on each site; their number for a hollow.

    It is the atom of most sites of the same kind, so that sites that are vacant or have a foreign
    atom get one, too.
    """
    present = topographs.atoms.present[index]
    site = (
        topographs.truth["site"][index] if "site" in topographs.truth else torch.zeros(len(present))
    )
    regular = present & (site >= 0)
    atoms = torch.stack([topographs.atoms.u[index], topographs.atoms.v[index]], 1)[regular]
    distance, nearest = KDTree(atoms.numpy()).query(image.position)
    is_near = distance < NEAR * image.spacing
    species = site[regular].numpy()[nearest].astype(int)
    count = len(lattice.sites) if isinstance(lattice, FlatLattice) else 1
    kind = np.full(len(image.kind), count)
    for label in np.unique(image.kind):
        same_kind = image.kind == label
        if is_near[same_kind].mean() > 0.5:
            kind[same_kind] = np.bincount(species[same_kind & is_near]).argmax()
    return kind


class _SiteDefects(NamedTuple):
    """Defects of sites.

    Attributes:
        code: Defect of each site, a ``DefectCode``, [S].
        nearby: 1 where a defect of another site lies in the patch, else 0, [S].
    """

    code: NDArray[np.int64]
    nearby: NDArray[np.int64]


def _find_defects(
    image: SiteImage, topographs: Topographs, index: int, lattice: AnyLattice, width: float
) -> _SiteDefects:
    """Return the defects of the sites of an image."""
    truth, count = topographs.truth, len(image.kind)
    if "defect_kind" not in truth or not bool((truth["defect_kind"][index] > 0).any()):
        return _SiteDefects(np.zeros(count, int), np.zeros(count, int))
    is_defect = truth["defect_kind"][index] > 0
    codes = truth["defect_kind"][index][is_defect].long().numpy()
    if "defect_substitute" in truth and isinstance(lattice, FlatLattice):
        is_vacancy = np.array([0, *("vacancy" in x.name for x in lattice.substitutes)], bool)
        substitute = truth["defect_substitute"][index][is_defect].long().numpy()
        codes = np.where(is_vacancy[substitute], DefectCode.PARTIAL_VACANCY, codes)
    tree = KDTree(truth["defect_position"][index][is_defect].numpy())
    distance, nearest = tree.query(image.position)
    is_near = distance < NEAR * image.spacing
    reach = (width / 2 + 0.3) * image.spacing
    others = tree.query_ball_point(image.position, reach, return_length=True) - is_near
    code = np.where(is_near, codes[nearest], DefectCode.NONE)
    return _SiteDefects(code, (others > 0).astype(int))
