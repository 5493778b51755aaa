"""Surfaces of cut crystals: atoms are placed, displaced, replaced by defects and drawn."""

from dataclasses import replace

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.atoms import Atoms, join, pack
from stm_experiments.simulator.lattices.cut import Lattice, place_atoms
from stm_experiments.simulator.rendering.render import Centres, DrawnAtoms, draw, drawn_centres
from stm_experiments.simulator.strengths import is_off
from stm_experiments.simulator.surface.defects import DefectCode, PointDefects, place_adatoms
from stm_experiments.simulator.surface.domains import (
    Crystal,
    crop_map,
    domain_map,
    join_domains,
    orientation_of_atoms,
)
from stm_experiments.simulator.surface.exclusion import not_excluded
from stm_experiments.simulator.surface.jitter import SampleNoise
from stm_experiments.simulator.surface.steps import Step, draw_step
from stm_experiments.simulator.surface.strain import draw_strain
from stm_experiments.simulator.surface.surface import Surface, SurfacePlan, Terraces


def draw_cut_surface(lattice: Lattice, plan: SurfacePlan) -> Surface:
    """Draw the surfaces of crystals that are cut by a plane; see ``SurfacePlan``."""
    crystal, preset, size = plan.crystal, plan.preset, plan.size
    domain = None
    if crystal.second is not None:
        domain = domain_map(crystal.boundary, lattice, size)
    atoms = _place(lattice, crystal, plan, domain)
    terraces = None
    if not is_off(plan.defects.step):
        step = draw_step(plan.defects.draw_step_height(plan.seeds), plan.seeds, size)
        terraces = Terraces(step.profile(size), step.height)
        atoms = _on_two_terraces(atoms, lattice, step, plan, domain)

    centres = drawn_centres(atoms, lattice, preset, size)
    present = not_excluded(centres, atoms.depth, atoms.present, lattice, preset, size)
    drawn = DrawnAtoms(centres, atoms.depth, present)
    maps: dict[str, Tensor] = {}
    facts: dict[str, Tensor] = {}
    if plan.sample != SampleNoise():
        jitter = plan.sample.draw(atoms.present.sum(1), plan.generators, lattice, preset)
        displacement = jitter.displacement
        if not is_off(plan.sample.strain):
            strain = draw_strain(plan.sample.strain, plan.seeds)
            displacement = displacement + strain.at(
                lattice.spread * atoms.u, lattice.spread * atoms.v
            )
            maps["displaced"], facts["strain"] = strain.field(size), strain.strength
        drawn = drawn._replace(
            centres=drawn_centres(atoms, lattice, preset, size, displacement),
            width_change=jitter.width_change,
        )
    code = None
    if plan.defects.has_point_defects:
        defects = plan.defects.draw(present, plan.seeds)
        orientation = orientation_of_atoms(crystal, atoms, domain, lattice)
        hosts = atoms._replace(present=present)
        adatoms = pack(place_adatoms(hosts, defects.has_adatom, orientation, lattice))
        code = torch.cat((defects.code, DefectCode.ADATOM * adatoms.present), 1)
        drawn = _with_defects(
            drawn, defects, adatoms, drawn_centres(adatoms, lattice, preset, size)
        )
    return Surface(
        flat=draw(drawn, lattice, preset, size, plan.device),
        atoms=Atoms(drawn.centres.u, drawn.centres.v, drawn.depth, drawn.present),
        code=code,
        domain=None if domain is None else crop_map(domain, size),
        terraces=terraces,
        maps=maps,
        facts=facts,
    )


def _place(lattice: Lattice, crystal: Crystal, plan: SurfacePlan, domain: Tensor | None) -> Atoms:
    """Place the atoms of one or two domains."""
    atoms = place_atoms(lattice, crystal.orientation, plan.preset, plan.size, crystal.offset)
    if crystal.second is None or domain is None:
        return atoms
    other = place_atoms(lattice, crystal.second, plan.preset, plan.size, crystal.offset)
    return join_domains(atoms, other, domain, lattice)


def _on_two_terraces(
    upper: Atoms, lattice: Lattice, step: Step, plan: SurfacePlan, domain: Tensor | None
) -> Atoms:
    """Replace the atoms beyond the step by those of the next plane down."""
    # Lifting the lattice by one plane is the same as cutting it one plane lower.
    lift = torch.tensor([0.0, 0.0, 1 / lattice.planes_per_cell], dtype=torch.float64)
    lifted = replace(plan.crystal, offset=plan.crystal.offset + lift)
    lower = _place(lattice, lifted, plan, domain)
    on_upper, on_lower = (
        step.above(lattice.spread * atoms.u, lattice.spread * atoms.v) >= 0
        for atoms in (upper, lower)
    )
    return join(
        upper._replace(present=upper.present & on_upper),
        lower._replace(present=lower.present & ~on_lower),
    )


def _with_defects(
    drawn: DrawnAtoms, defects: PointDefects, adatoms: Atoms, adatom_centres: Centres
) -> DrawnAtoms:
    """Remove the vacancies, scale the foreign atoms and append the adatoms."""
    present = drawn.present & (defects.code != DefectCode.VACANCY)
    width_change = drawn.width_change
    if width_change is not None:
        width_change = torch.cat((width_change, torch.zeros_like(adatoms.depth)), 1)
    return DrawnAtoms(
        centres=Centres(
            *(torch.cat(pair, 1) for pair in zip(drawn.centres, adatom_centres, strict=True))
        ),
        depth=torch.cat((drawn.depth, adatoms.depth), 1),
        present=torch.cat((present, adatoms.present), 1),
        width_change=width_change,
        gain=torch.cat((defects.gain, torch.ones_like(adatoms.depth)), 1),
    )
