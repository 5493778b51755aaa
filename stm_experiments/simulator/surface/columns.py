"""Columns of atoms of a flat crystal, and their defects: missing, foreign and additional atoms."""

from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.lattices.atoms import left_pack
from stm_experiments.simulator.lattices.flat import FlatLattice, PlacedSites, turned_basis
from stm_experiments.simulator.surface.defects import DefectCode, Defects


class Columns(NamedTuple):
    """The atoms of N images as they are drawn, [N, A] each.

    Attributes:
        u: Position along image axis 0 from pixel size // 2, px.
        v: The same along axis 1.
        height: 1 for the highest species.
        sigma: Width, px.
        present: False on padding and vacancies.
        site: Index in ``FlatLattice.sites``, -1 on adatoms.
        code: ``DefectCode`` of each.
        substitute: Which of the lattice's substitutes it is, from 1 on; 0 for none.
    """

    u: Tensor
    v: Tensor
    height: Tensor
    sigma: Tensor
    present: Tensor
    site: Tensor
    code: Tensor
    substitute: Tensor


class Substitution(NamedTuple):
    """Foreign atoms, [N, A] each; see ``Columns``."""

    height: Tensor
    code: Tensor
    substitute: Tensor


def perfect_columns(lattice: FlatLattice, placed: PlacedSites) -> Columns:
    """Return the atoms of crystals without a defect."""
    atoms, site = placed
    height = torch.tensor([each.height for each in lattice.sites], dtype=torch.float64)[site]
    sigma = torch.tensor([each.sigma for each in lattice.sites], dtype=torch.float64)[site]
    none = torch.zeros_like(site)
    u, v = lattice.spread * atoms.u, lattice.spread * atoms.v
    return Columns(u, v, height, lattice.spread * sigma, atoms.present, site, none, none)


def with_defects(
    columns: Columns,
    lattice: FlatLattice,
    defects: Defects,
    seeds: list[int],
    orientations: Tensor,
) -> Columns:
    """Empty some sites, replace some atoms, and put adatoms in hollow sites.

    Args:
        columns: The perfect crystals.
        lattice: Their lattice.
        defects: Densities.
        seeds: The images' seeds.
        orientations: Of each atom's crystal, [N, A, 3].
    """
    code, gain, has_adatom = defects.draw(columns.present, seeds)
    changed = Substitution(columns.height * gain, code, columns.substitute)
    if lattice.substitutes:
        changed = _substituted(columns, lattice, changed, seeds)
    remaining = columns._replace(
        height=changed.height,
        present=columns.present & (changed.code != DefectCode.VACANCY),
        code=changed.code,
        substitute=changed.substitute,
    )
    added = _adatoms(columns, lattice, has_adatom, orientations)
    return Columns(*(torch.cat(pair, 1) for pair in zip(remaining, added, strict=True)))


def _adatoms(
    columns: Columns, lattice: FlatLattice, has_adatom: Tensor, orientations: Tensor
) -> Columns:
    """Return the adatoms next to the columns that have one."""
    axes = lattice.spread * turned_basis(lattice, orientations.reshape(-1, 3))
    hollow = axes @ torch.tensor(lattice.hollow, dtype=torch.float64)
    to_u, to_v = (x.view(columns.u.shape) for x in hollow.unbind(1))
    sigma = columns.sigma.where(columns.present, 1.0)
    keep = has_adatom & columns.present
    u, v, sigma, present = left_pack(keep, (columns.u + to_u, columns.v + to_v, sigma, keep))
    zero = torch.zeros(present.shape, dtype=torch.int64)
    return Columns(
        u=u,
        v=v,
        height=torch.full_like(u, lattice.adatom),
        sigma=sigma.where(present, 1.0),
        present=present,
        site=zero - 1,
        code=DefectCode.ADATOM * present,
        substitute=zero,
    )


def _substituted(
    columns: Columns, lattice: FlatLattice, drawn: Substitution, seeds: list[int]
) -> Substitution:
    """Choose among the lattice's substitutes for the foreign atoms of species that have some.

    Args:
        columns: The perfect crystals.
        lattice: Their lattice.
        drawn: The foreign atoms as if the lattice named no substitutes.
        seeds: The images' seeds.
    """
    draw = torch.zeros(drawn.code.shape, dtype=torch.float64)
    for i, (seed, present) in enumerate(zip(seeds, columns.present, strict=True)):
        draw[i, present] = torch.rand(
            int(present.sum()), generator=image_stream(seed, "substitutes"), dtype=torch.float64
        )
    foreign = (drawn.code == DefectCode.BRIGHTER) | (drawn.code == DefectCode.DARKER)
    substitute = torch.zeros_like(drawn.code)
    for index, site in enumerate(lattice.sites):
        choice = [k for k, x in enumerate(lattice.substitutes) if x.species == site.species]
        if not choice:
            continue
        share = torch.tensor([lattice.substitutes[k].share for k in choice], dtype=torch.float64)
        which = torch.bucketize(draw, share.cumsum(0)[:-1] / share.sum(), right=True)
        replaced = foreign & (columns.site == index)
        substitute = torch.where(replaced, torch.tensor(choice)[which] + 1, substitute)
    heights = torch.tensor([0.0, *(x.height for x in lattice.substitutes)], dtype=torch.float64)
    height = heights[substitute]
    code = torch.where(height > columns.height, DefectCode.BRIGHTER, DefectCode.DARKER)
    return Substitution(
        height=torch.where(substitute > 0, height, drawn.height),
        code=torch.where(substitute > 0, code, drawn.code),
        substitute=substitute,
    )
