"""The sample before it is scanned: its atoms, its defects and its heights."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.bulk import Atoms, Lattice, Preset, pack, place_atoms
from stm_experiments.simulator.lattices.registry import AnyLattice
from stm_experiments.simulator.microscope.motion import scan_labels
from stm_experiments.simulator.noises import Noise
from stm_experiments.simulator.rendering.render import Centres, draw, drawn_centres
from stm_experiments.simulator.strengths import draw_strength, is_off
from stm_experiments.simulator.surface.defects import (
    DefectCode,
    Step,
    adatoms,
    draw_defects,
    draw_step,
    planes_per_cell,
)
from stm_experiments.simulator.surface.exclusion import not_excluded
from stm_experiments.simulator.surface.sample import (
    SampleNoise,
    crop_map,
    domain_map,
    draw_sample,
    join_domains,
)
from stm_experiments.simulator.surface.strain import draw_strain


@dataclass(frozen=True)
class Crystal:
    """The crystals of N images.

    Attributes:
        lattice: Their lattice.
        orientation: Of the only or the first domain, [N, 3].
        offset: Origin of the lattice as fractions of its conventional cell, [N, 3].
        second: Orientation of the second domain, [N, 3]; None for one domain.
        boundary: Coefficients of the boundary between them, [N, 10].
    """

    lattice: AnyLattice
    orientation: Tensor
    offset: Tensor
    second: Tensor | None
    boundary: Tensor


@dataclass(frozen=True)
class Surface:
    """What can be scanned, larger than the image by a border on each side.

    Attributes:
        flat: Heights without a step, [N, 1, C, C] float32.
        atoms: The atoms as drawn, u and v in px of the surface, [N, A].
        kind: Kinds of the atoms' defects, 0 for none, [N, A]; None where there can be none.
        domain: The domains, [N, C, C] int8; None for one.
        terrace: 1 on the upper terrace of a step, 0 on the lower one and where there is no step,
            [N, 1, C, C] float32; None where there can be none.
        step_height: Height of the step, c, [N].
        substitute: Which of the lattice's substitutes an atom is, from 1 on, [N, A]; or None.
        maps: More truth about each px of the surface, [N, C, C, ...] by name.
        facts: More truth about each image, [N, ...] by name.
    """

    flat: Tensor
    atoms: Atoms
    kind: Tensor | None
    domain: Tensor | None
    terrace: Tensor | None
    step_height: Tensor
    substitute: Tensor | None = None
    maps: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Tensor] = field(default_factory=dict)

    def heights(self, corrugation: Tensor) -> Tensor:
        """Heights with the step, whose height is given in corrugations."""
        if self.terrace is None:
            return self.flat
        height = (self.step_height * corrugation).float()[:, None, None, None]
        return self.flat + (height * self.terrace).to(self.flat.device)

    def labels(
        self, u: Tensor, v: Tensor, moved: Tensor, border: int, size: int
    ) -> dict[str, Tensor]:
        """The truth on defects and steps, of the atoms seen at (u, v) px of the image."""
        truth = dict(self.facts)
        for name, values in self.maps.items():
            truth[name] = scan_labels(values, moved, border)
        if self.kind is not None:
            seen = (self.kind > 0) & (u > -0.5) & (u < size - 0.5) & (v > -0.5) & (v < size - 0.5)
            row, column, kind, _ = pack(u, v, self.kind.double(), seen)
            truth["defect_position"] = torch.stack((row, column), -1)
            truth["defect_kind"] = kind.to(torch.int8)
            if self.substitute is not None:
                which = pack(u, v, self.substitute.double(), seen).depth
                truth["defect_substitute"] = which.to(torch.int8)
        if self.terrace is not None:
            truth["step"] = scan_labels(self.terrace[:, 0] > 0.5, moved, border)
            truth["step_height"] = self.step_height
        return truth


def draw_surface(
    lattice: Lattice,
    crystal: Crystal,
    generators: list[torch.Generator],
    seeds: list[int],
    noise: Noise,
    preset: Preset,
    size: int,
    device: torch.device,
) -> Surface:
    """Place the atoms, displace them, spoil some and draw them all.

    Args:
        lattice: The lattice.
        crystal: The crystals; their lattice is the same.
        generators: One per image, for the atoms' displacements.
        seeds: The images' seeds, for the defects.
        noise: Strengths; those of the sample and the defects are used.
        preset: The simulator's version.
        size: Of the surface, px.
        device: Where the heights are computed.
    """
    domain = None
    if crystal.second is not None:
        domain = domain_map(crystal.boundary, lattice, size)
    atoms = _atoms(lattice, crystal, preset, size, domain)
    terrace, step_height = None, torch.zeros(len(seeds), dtype=torch.float64)
    if not is_off(noise.defects.step):
        step_height = draw_strength(noise.defects.step, seeds, "step", noise.defects.step_chance)
        step = draw_step(seeds, size, step_height > 0)
        terrace = step.profile(size)
        atoms = _two_terraces(atoms, lattice, crystal, step, preset, size, domain)

    centres = drawn_centres(atoms, lattice, preset, size)
    present = not_excluded(centres, atoms.depth, atoms.present, lattice, preset, size)
    depth, widths, gain, kind = atoms.depth, None, None, None
    maps: dict[str, Tensor] = {}
    facts: dict[str, Tensor] = {}
    if noise.sample != SampleNoise():
        count = atoms.present.sum(1)
        jitter, widths = draw_sample(count, generators, noise.sample, lattice, preset)
        if not is_off(noise.sample.strain):
            strain = draw_strain(noise.sample.strain, seeds)
            jitter = jitter + strain.at(lattice.spread * atoms.u, lattice.spread * atoms.v)
            maps["displaced"], facts["strain"] = strain.field(size), strain.strength
        centres = drawn_centres(atoms, lattice, preset, size, jitter)
    if not noise.defects.none:
        kind, gain, beside = draw_defects(present, noise.defects, seeds)
        above = adatoms(
            atoms._replace(present=present),
            beside,
            orientations_of(crystal, atoms, domain),
            lattice,
        )
        above = pack(*above)
        present = torch.cat((present & (kind != DefectCode.VACANCY), above.present), 1)
        added = drawn_centres(above, lattice, preset, size)
        centres = Centres(*(torch.cat(pair, 1) for pair in zip(centres, added, strict=True)))
        depth = torch.cat((depth, above.depth), 1)
        kind = torch.cat((kind, DefectCode.ADATOM * above.present), 1)
        gain = torch.cat((gain, torch.ones_like(above.depth)), 1)
        if widths is not None:
            widths = torch.cat((widths, torch.zeros_like(above.depth)), 1)
    flat = draw(centres, depth, present, lattice, preset, size, widths, device, gain)
    return Surface(
        flat=flat,
        atoms=Atoms(centres.u, centres.v, depth, present),
        kind=kind,
        domain=None if domain is None else crop_map(domain, size),
        terrace=terrace,
        step_height=step_height,
        maps=maps,
        facts=facts,
    )


def _atoms(
    lattice: Lattice, crystal: Crystal, preset: Preset, size: int, domain: Tensor | None
) -> Atoms:
    """The atoms of one or two domains."""
    atoms = place_atoms(lattice, crystal.orientation, preset, size, crystal.offset)
    if crystal.second is None or domain is None:
        return atoms
    other = place_atoms(lattice, crystal.second, preset, size, crystal.offset)
    return join_domains(atoms, other, domain, lattice)


def _two_terraces(
    upper: Atoms,
    lattice: Lattice,
    crystal: Crystal,
    step: Step,
    preset: Preset,
    size: int,
    domain: Tensor | None,
) -> Atoms:
    """The atoms of the upper terrace, and those of the next plane down beyond the step."""
    # Lifting the lattice by one plane is the same as cutting it one plane lower.
    lift = torch.tensor([0.0, 0.0, 1 / planes_per_cell(lattice)], dtype=torch.float64)
    lower = _atoms(lattice, replace(crystal, offset=crystal.offset + lift), preset, size, domain)
    spread = lattice.spread
    terraces = [
        (atoms, atoms.present & ((step.above(spread * atoms.u, spread * atoms.v) >= 0) == up))
        for atoms, up in ((upper, True), (lower, False))
    ]
    u, v, depth, seen = (
        torch.cat(parts, 1)
        for parts in zip(*((a.u, a.v, a.depth, seen) for a, seen in terraces), strict=True)
    )
    return pack(u, v, depth, seen)


def orientations_of(crystal: Crystal, atoms: Atoms, domain: Tensor | None) -> Tensor:
    """The orientation of each atom's crystal, [N, A, 3]."""
    first = crystal.orientation[:, None].expand(-1, atoms.u.shape[1], 3)
    if crystal.second is None or domain is None:
        return first
    centre = domain.shape[-1] // 2
    u, v = (
        ((crystal.lattice.spread * x).floor().long() + centre).clamp(0, domain.shape[-1] - 1)
        for x in (atoms.u, atoms.v)
    )
    sign = domain[torch.arange(len(domain))[:, None], u, v]
    return first.where(sign[..., None] > 0, crystal.second[:, None])
