"""Defects of the sample: vacancies, adatoms, foreign atoms, steps. They stay in the clean image."""

import math
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.lattices.bulk import Atoms, Lattice, angles, rotate
from stm_experiments.simulator.strengths import (
    Strength,
    bounds,
    check_strengths,
    draw_strength,
    is_off,
    uniforms,
)

_ADATOM_HEIGHT = 0.5  # of an adatom above the atoms that carry it, lattice constants
_EDGE = 2.0  # width of a step, standard deviation of the error function, px
_BENDS = (40.0, 90.0, 200.0)  # lengths on which a step winds, px


class DefectCode(IntEnum):
    """Kinds of point defects, as every array of defect codes in the package uses them."""

    NONE = 0
    VACANCY = 1
    ADATOM = 2
    BRIGHTER = 3  # a foreign atom that is higher than the one in whose place it sits
    DARKER = 4
    PARTIAL_VACANCY = 5  # one of several atoms of a column is missing


@dataclass(frozen=True)
class Defects:
    """How many defects there are.

    Attributes:
        vacancies: Share of the surface's sites without an atom.
        adatoms: Share of the sites beside which an atom sits on the surface, in the hollow site.
        substitutions: Share of the sites with a foreign atom, brighter or darker with equal chance.
        contrast: Relative change of a foreign atom's height.
        step: Height of a step across the image, in corrugations; on its lower side the lattice
            goes on, one atomic plane deeper.
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
        check_strengths(self, ("chance", "step_chance"))
        if bounds(self.vacancies)[1] + bounds(self.substitutions)[1] > 1:
            raise ValueError(
                "noise: vacancies and substitutions are shares of the sites: at most 1"
            )

    @property
    def none(self) -> bool:
        """Whether there is no defect of an atom."""
        return all(is_off(x) for x in (self.vacancies, self.adatoms, self.substitutions))


def draw_defects(
    present: Tensor, noise: Defects, seeds: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose which atoms are defects.

    Args:
        present: Atoms to choose from, [N, A].
        noise: Densities.
        seeds: The images' seeds.

    Returns:
        The kind of each atom's defect (never an adatom), [N, A] int64; the factor of its
        height, [N, A] float64; and beside which atoms an adatom sits, [N, A] bool.
    """
    draws = torch.ones(4, *present.shape, dtype=torch.float64)
    for i, (seed, there) in enumerate(zip(seeds, present, strict=True)):
        count = int(there.sum())
        draws[:, i, there] = torch.rand(
            4, count, generator=image_stream(seed, "defects"), dtype=torch.float64
        )
    chosen, sign, size, above = draws
    vacancies, substitutions, adatoms = (
        draw_strength(getattr(noise, name), seeds, name, noise.chance)[:, None]
        for name in ("vacancies", "substitutions", "adatoms")
    )
    vacant = chosen < vacancies
    foreign = ~vacant & (chosen < vacancies + substitutions)
    kind = torch.where(foreign, torch.where(sign < 0.5, DefectCode.BRIGHTER, DefectCode.DARKER), 0)
    kind = kind.where(~vacant, DefectCode.VACANCY)
    low, high = bounds(noise.contrast)
    change = (low + (high - low) * size) * torch.where(sign < 0.5, 1, -1)
    return (
        kind,
        torch.where(foreign, (1 + change).clamp(min=0.01), 1.0),
        (above < adatoms) & ~vacant,
    )


def adatoms(hosts: Atoms, chosen: Tensor, orientation: Tensor, lattice: Lattice) -> Atoms:
    """Atoms on the surface, in the hollow site on the downhill side of their hosts.

    Args:
        hosts: The atoms of the surface.
        chosen: Beside which of them an adatom sits, [N, A].
        orientation: Of each host's crystal, [N, A, 3].
        lattice: Their lattice.

    Returns:
        The adatoms, on the hosts' places: [N, A], present where chosen.
    """
    flat = orientation.reshape(-1, 3)
    cos_b, sin_b, slope, q = angles(flat, lattice.azimuth_max, lattice.tilt_max)
    x, y = (-way for way in hollow(lattice))
    height = _ADATOM_HEIGHT
    # As in the projection of the lattice; what is left along the normal makes it less deep.
    across = x * (cos_b / q) + y * (sin_b / q) + height * (slope / q)
    above = (height - slope * (x * cos_b + y * sin_b)) / q
    u, v = rotate(across, y * cos_b - x * sin_b, flat)
    u, v, above = (way.view(hosts.u.shape) for way in (u, v, above))
    depth = (hosts.depth - above).clamp(-1, 1.9)
    return Atoms(hosts.u + u, hosts.v + v, depth, hosts.present & chosen)


def hollow(lattice: Lattice) -> tuple[float, float]:
    """From an atom of the flat surface to the hollow between its neighbours, lattice constants."""
    if lattice.name == "fcc":
        return 0.5, 0.0
    if lattice.rows_first:  # centred rectangles: the centre of a triangle of atoms
        return lattice.a / 2, lattice.row * lattice.a / 3
    return 0.5, 0.5


@dataclass(frozen=True)
class Step:
    """A winding step across each image, with the first terrace above the second.

    Attributes:
        normal: Unit vector towards the upper terrace along axes 0 and 1, [N, 2] float64.
        distance: Of the step from pixel size // 2 along the normal, px, [N] float64.
        bends: Amplitudes (px) and phases of its bends, of the lengths ``_BENDS``, [N, 3, 2].
        present: False on images without a step: all of such an image is the upper terrace, [N].
    """

    normal: Tensor
    distance: Tensor
    bends: Tensor
    present: Tensor

    def above(self, u: Tensor, v: Tensor) -> Tensor:
        """How far points are on the upper terrace, px; negative on the lower one.

        Args:
            u: Along axis 0 from pixel size // 2, px, [N, ...] or broadcasting to it.
            v: The same along axis 1.
        """
        each = (-1, *(1,) * (u.ndim - 1))
        n0, n1, distance = (x.reshape(each) for x in (*self.normal.T, self.distance))
        along, winding = n0 * v - n1 * u, distance
        for length, bend in zip(_BENDS, self.bends.unbind(1), strict=True):
            amplitude, phase = (x.reshape(each) for x in bend.T)
            winding = winding + amplitude * torch.sin(2 * math.pi / length * along + phase)
        return n0 * u + n1 * v - winding

    def profile(self, size: int) -> Tensor:
        """Height of the surface, 0 to 1, in an image of ``size`` px, [N, 1, size, size] float32.

        0 everywhere in an image without a step.
        """
        r = torch.arange(size, dtype=torch.float64) - size // 2
        profile = torch.zeros(len(self.distance), 1, size, size)
        for i in self.present.nonzero()[:, 0].tolist():
            part = slice(i, i + 1)
            one = Step(self.normal[part], self.distance[part], self.bends[part], self.present[part])
            above = one.above(r[None, :, None], r[None, None])[0].float()
            profile[i, 0] = 0.5 + 0.5 * torch.erf(above / (math.sqrt(2) * _EDGE))
        return profile


def draw_step(seeds: list[int], size: int, has: Tensor) -> Step:
    """Steps in any direction through the middle half of the images that have one."""
    draws = uniforms(seeds, "step place", 8)
    angle = 2 * math.pi * draws[:, :1]
    distance = (draws[:, 1] - 0.5) * 0.5 * size
    # Slopes of up to 0.3 of each bend against the step's direction.
    amplitude = 0.3 / (2 * math.pi) * torch.tensor(_BENDS) * draws[:, 2:5]
    bends = torch.stack((amplitude, 2 * math.pi * draws[:, 5:]), 2)
    normal = torch.cat((angle.cos(), angle.sin()), 1)
    return Step(normal, distance.where(has, -1e6), bends, has)


def planes_per_cell(lattice: Lattice) -> int:
    """Atomic planes along z in one lattice constant."""
    return len({z for *_, z in lattice.basis})
