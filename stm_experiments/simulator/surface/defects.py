"""Point defects of the sample: vacancies, adatoms, foreign atoms. They stay in the clean image."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.lattices.atoms import Atoms
from stm_experiments.simulator.lattices.cut import Lattice, cut_planes, rotate
from stm_experiments.simulator.strengths import (
    Strength,
    bounds,
    check_strengths,
    draw_strength,
    is_off,
)

_ADATOM_HEIGHT = 0.5  # of an adatom above the atoms that carry it, lattice constants


class DefectCode(IntEnum):
    """Kinds of point defects, as every array of defect codes in the package uses them."""

    NONE = 0
    VACANCY = 1
    ADATOM = 2
    BRIGHTER = 3  # a foreign atom that is higher than the atom that it replaces
    DARKER = 4
    PARTIAL_VACANCY = 5  # one of several atoms of a column is missing


class PointDefects(NamedTuple):
    """Which atoms of N images are defects.

    Attributes:
        code: ``DefectCode`` of each atom, never ADATOM, [N, A] int64.
        gain: Factor of its height, [N, A] float64.
        has_adatom: Whether an adatom sits next to it, [N, A] bool.
    """

    code: Tensor
    gain: Tensor
    has_adatom: Tensor


@dataclass(frozen=True)
class Defects:
    """How many defects there are.

    Attributes:
        vacancies: Share of the surface's sites without an atom.
        adatoms: Share of the sites next to which an atom sits on the surface, in the hollow site.
        substitutions: Share of the sites with a foreign atom, brighter or darker with equal chance.
        contrast: Relative change of a foreign atom's height.
        step: Height of a step across the image, in corrugations; on its lower side the lattice
            continues, one atomic plane deeper.
        chance: Share of the images that have defects of each kind, independently.
        step_chance: Share of the images that have a step.
    """

    vacancies: Strength = 0.0
    adatoms: Strength = 0.0
    substitutions: Strength = 0.0
    contrast: Strength = (0.15, 0.5)
    step: Strength = 0.0
    chance: float = 1.0
    step_chance: float = 1.0

    def __post_init__(self) -> None:
        check_strengths(self, single=("chance", "step_chance"))
        if bounds(self.vacancies)[1] + bounds(self.substitutions)[1] > 1:
            raise ValueError(
                "noise: vacancies and substitutions are shares of the sites: at most 1"
            )

    @property
    def has_point_defects(self) -> bool:
        """Whether a single atom can be a defect."""
        return not (is_off(self.vacancies) and is_off(self.adatoms) and is_off(self.substitutions))

    def draw(self, present: Tensor, seeds: list[int]) -> PointDefects:
        """Choose which of the present atoms [N, A] are defects."""
        draws = torch.ones(4, *present.shape, dtype=torch.float64)
        for i, (seed, atoms) in enumerate(zip(seeds, present, strict=True)):
            count = int(atoms.sum())
            draws[:, i, atoms] = torch.rand(
                4, count, generator=image_stream(seed, "defects"), dtype=torch.float64
            )
        choice, sign, size, above = draws
        shares = {"vacancies": self.vacancies, "substitutions": self.substitutions,
                  "adatoms": self.adatoms}  # fmt: skip
        vacancies, substitutions, adatoms = (
            draw_strength(share, seeds, name, self.chance)[:, None]
            for name, share in shares.items()
        )
        vacant = choice < vacancies
        foreign = ~vacant & (choice < vacancies + substitutions)
        brighter_or_darker = torch.where(sign < 0.5, DefectCode.BRIGHTER, DefectCode.DARKER)
        code = torch.where(foreign, brighter_or_darker, DefectCode.NONE)
        low, high = bounds(self.contrast)
        change = (low + (high - low) * size) * torch.where(sign < 0.5, 1, -1)
        return PointDefects(
            code=code.where(~vacant, DefectCode.VACANCY),
            gain=torch.where(foreign, (1 + change).clamp(min=0.01), 1.0),
            has_adatom=(above < adatoms) & ~vacant,
        )

    def draw_step_height(self, seeds: list[int]) -> Tensor:
        """Draw the height of each image's step, corrugations, [N] float64; 0 for none."""
        return draw_strength(self.step, seeds, "step", self.step_chance)


def place_adatoms(hosts: Atoms, chosen: Tensor, orientation: Tensor, lattice: Lattice) -> Atoms:
    """Place atoms on the surface, in the hollow site on the downhill side of their hosts.

    Args:
        hosts: The atoms of the surface.
        chosen: Which of them have an adatom next to them, [N, A].
        orientation: Of each host's crystal, [N, A, 3].
        lattice: Their lattice.

    Returns:
        An adatom for each host, [N, A], present where chosen.
    """
    orientations = orientation.reshape(-1, 3)
    cut = cut_planes(orientations, lattice.azimuth_max, lattice.tilt_max)
    x, y = (-component for component in hollow_site(lattice))
    height = _ADATOM_HEIGHT
    # As in the projection of the lattice; what is left along the normal makes it less deep.
    across = (
        x * (cut.cos / cut.stretch)
        + y * (cut.sin / cut.stretch)
        + height * (cut.slope / cut.stretch)
    )
    above = (height - cut.slope * (x * cut.cos + y * cut.sin)) / cut.stretch
    u, v = rotate(across, y * cut.cos - x * cut.sin, orientations)
    u, v, above = (component.view(hosts.u.shape) for component in (u, v, above))
    depth = (hosts.depth - above).clamp(-1, 1.9)
    return Atoms(hosts.u + u, hosts.v + v, depth, hosts.present & chosen)


def hollow_site(lattice: Lattice) -> tuple[float, float]:
    """Return the vector from an atom to the hollow between its neighbours, lattice constants."""
    if lattice.name == "fcc":
        return 0.5, 0.0
    if lattice.rows_first:  # centred rectangles: the centre of a triangle of atoms
        return lattice.a / 2, lattice.row * lattice.a / 3
    return 0.5, 0.5
