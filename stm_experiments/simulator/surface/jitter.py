"""Variation from atom to atom: displaced atoms, atoms of uneven width, local strain."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.registry import AnyLattice
from stm_experiments.simulator.presets import Preset
from stm_experiments.simulator.strengths import Strength, check_strengths, is_off


class Jitter(NamedTuple):
    """The variation of the atoms of N images.

    Attributes:
        displacement: Along image axes 0 and 1, px, [2, N, A] float64.
        width_change: What is added to sqrt(2 - depth) in the atoms' widths, [N, A] float64.
    """

    displacement: Tensor
    width_change: Tensor


@dataclass(frozen=True)
class SampleNoise:
    """Strengths of the variation from atom to atom.

    Attributes:
        position_jitter: Standard deviation of an atom's displacement along each image axis, lattice
            constants (the paper: 0.2/15).
        width_jitter: Standard deviation of what is added to sqrt(2 - depth) in an atom's width (the
            paper: 0.045).
        strain: Local strain: the largest derivative of a smooth displacement of all atoms.
    """

    position_jitter: float = 0.0
    width_jitter: float = 0.0
    strain: Strength = 0.0

    def __post_init__(self) -> None:
        check_strengths(self, single=("position_jitter", "width_jitter"))

    @property
    def has_jitter(self) -> bool:
        """Whether atoms vary independently of each other."""
        return not (is_off(self.position_jitter) and is_off(self.width_jitter))

    def draw(
        self,
        count: Tensor,
        generators: list[torch.Generator],
        lattice: AnyLattice,
        preset: Preset,
    ) -> Jitter:
        """Draw the variation of the first ``count`` atoms of each image; 0 for the others."""
        normal = torch.zeros(3, len(count), int(count.max()), dtype=torch.float64)
        for i, (atoms, generator) in enumerate(zip(count.tolist(), generators, strict=True)):
            draws = torch.randn(3, atoms, generator=generator, dtype=torch.float64)
            normal[:, i, :atoms] = draws
            if preset.width_once:
                normal[2, i] = draws[2, :1]
        return self.scaled(normal, lattice, preset)

    def scaled(self, normal: Tensor, lattice: AnyLattice, preset: Preset) -> Jitter:
        """Scale normal draws [3, N, A] of two displacements and a change of width.

        The released program lists the empty columns of bcc as atoms at depth 1.999, whose width
        would explode at the usual strength: it uses a twentieth for bcc.
        """
        reduced = preset.width_once and lattice.name == "bcc"
        return Jitter(
            displacement=lattice.spread * self.position_jitter * normal[:2],
            width_change=self.width_jitter * (0.05 if reduced else 1) * normal[2],
        )
