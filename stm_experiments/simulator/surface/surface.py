"""The sample before it is scanned: its atoms, its defects and its heights."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.atoms import Atoms, left_pack
from stm_experiments.simulator.microscope.path import ScanPath
from stm_experiments.simulator.presets import Preset
from stm_experiments.simulator.surface.defects import Defects
from stm_experiments.simulator.surface.domains import Crystal
from stm_experiments.simulator.surface.jitter import SampleNoise


@dataclass(frozen=True)
class SurfacePlan:
    """What a surface is drawn from; the same for cut and for flat crystals.

    Attributes:
        crystal: The crystals.
        sample: Strengths of the variation from atom to atom.
        defects: Densities of the defects.
        preset: The simulator's version.
        seeds: The images' seeds, for all but the atoms' jitter.
        generators: One per image, for the atoms' jitter.
        size: Height and width of the surface, px.
        device: Where the heights are computed.
    """

    crystal: Crystal
    sample: SampleNoise
    defects: Defects
    preset: Preset
    seeds: list[int]
    generators: list[torch.Generator]
    size: int
    device: torch.device


@dataclass(frozen=True)
class Terraces:
    """The two levels of surfaces with a step.

    Attributes:
        profile: 1 on the upper terrace, 0 on the lower one and where there is no step,
            [N, 1, C, C] float32.
        height: Height of the step, corrugations, [N]; 0 for none.
    """

    profile: Tensor
    height: Tensor


@dataclass(frozen=True)
class Surface:
    """A surface that can be scanned, larger than the image by a border on each side.

    Attributes:
        flat: Heights without a step, [N, 1, C, C] float32.
        atoms: The atoms as drawn, u and v in px of the surface, [N, A].
        code: ``DefectCode`` of each atom, [N, A]; None where no atom can be a defect.
        substitute: Which of the lattice's substitutes an atom is, from 1 on, [N, A]; or None.
        domain: The domains, [N, C, C] int8; None for one.
        terraces: The terraces; None where there can be no step.
        maps: More truth about each px of the surface, [N, C, C, ...] by name.
        facts: More truth about each image, [N, ...] by name.
    """

    flat: Tensor
    atoms: Atoms
    code: Tensor | None
    substitute: Tensor | None = None
    domain: Tensor | None = None
    terraces: Terraces | None = None
    maps: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Tensor] = field(default_factory=dict)

    def heights(self, corrugation: Tensor) -> Tensor:
        """Return the heights with the step, whose height is given in corrugations."""
        if self.terraces is None:
            return self.flat
        height = (self.terraces.height * corrugation).float()[:, None, None, None]
        return self.flat + (height * self.terraces.profile).to(self.flat.device)

    def truth(self, atoms: Atoms, path: ScanPath) -> dict[str, Tensor]:
        """Return the truth about images of the surface, by name.

        Args:
            atoms: The surface's atoms, at their positions in the images, px.
            path: The lines along which the images were scanned.
        """
        truth = dict(self.facts)
        truth |= {name: path.labels(values) for name, values in self.maps.items()}
        if self.code is not None:
            truth |= self._listed_defects(self.code, atoms, path.size)
        if self.terraces is not None:
            truth["step"] = path.labels(self.terraces.profile[:, 0] > 0.5)
            truth["step_height"] = self.terraces.height
        return truth

    def _listed_defects(self, code: Tensor, atoms: Atoms, size: int) -> dict[str, Tensor]:
        """List the defects inside of images of ``size`` px."""
        u, v = atoms.u, atoms.v
        listed = (code > 0) & (u > -0.5) & (u < size - 0.5) & (v > -0.5) & (v < size - 0.5)
        row, column, kind = left_pack(listed, (u, v, code))
        truth = {
            "defect_position": torch.stack((row, column), -1),
            "defect_kind": kind.to(torch.int8),
        }
        if self.substitute is not None:
            [substitute] = left_pack(listed, [self.substitute])
            truth["defect_substitute"] = substitute.to(torch.int8)
        return truth
