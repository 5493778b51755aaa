"""Columns of atoms of a flat crystal, and their defects: what is missing, foreign or on top."""

from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.lattices.bulk import Atoms, pack
from stm_experiments.simulator.lattices.flat import FlatLattice, turned
from stm_experiments.simulator.surface.defects import (
    DefectCode,
    Defects,
    draw_defects,
)


class Columns(NamedTuple):
    """The atoms of N images as they are drawn, [N, A] each.

    Attributes:
        u: Position along image axis 0 from pixel size // 2, px.
        v: The same along axis 1.
        height: 1 for the highest species.
        sigma: Width, px.
        present: False on padding and vacancies.
        site: Index in ``FlatLattice.sites``, -1 on adatoms.
        kind: Of the defect, 0 for none.
        substitute: Which of the lattice's substitutes it is, from 1 on.
    """

    u: Tensor
    v: Tensor
    height: Tensor
    sigma: Tensor
    present: Tensor
    site: Tensor
    kind: Tensor
    substitute: Tensor


def perfect(lattice: FlatLattice, atoms: Atoms, site: Tensor) -> Columns:
    """The atoms without a defect."""
    height, sigma = (
        torch.tensor([getattr(each, name) for each in lattice.sites], dtype=torch.float64)[site]
        for name in ("height", "sigma")
    )
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
    """Empty some sites, replace some atoms, and put adatoms in the hollows beside others.

    Args:
        columns: The perfect crystals.
        lattice: Their lattice.
        defects: Densities.
        seeds: The images' seeds.
        orientations: Of each atom's crystal, [N, A, 3].
    """
    kind, gain, beside = draw_defects(columns.present, defects, seeds)
    height, substitute = columns.height * gain, columns.substitute
    if lattice.substitutes:
        height, kind, substitute = _substituted(columns, lattice, height, kind, seeds)
    axes = lattice.spread * turned(lattice, orientations.reshape(-1, 3))
    hollow = axes @ torch.tensor(lattice.hollow, dtype=torch.float64)
    to_u, to_v = (x.view(columns.u.shape) for x in hollow.unbind(1))
    sigma = columns.sigma.where(columns.present, 1.0)
    u, v, sigma, added = pack(columns.u + to_u, columns.v + to_v, sigma, beside & columns.present)
    zero = torch.zeros(added.shape, dtype=torch.int64)
    extra = Columns(
        u=u,
        v=v,
        height=torch.full_like(u, lattice.adatom),
        sigma=sigma.where(added, 1.0),
        present=added,
        site=zero - 1,
        kind=DefectCode.ADATOM * added,
        substitute=zero,
    )
    spoilt = columns._replace(
        height=height,
        present=columns.present & (kind != DefectCode.VACANCY),
        kind=kind,
        substitute=substitute,
    )
    return Columns(*(torch.cat(pair, 1) for pair in zip(spoilt, extra, strict=True)))


def _substituted(
    columns: Columns, lattice: FlatLattice, height: Tensor, kind: Tensor, seeds: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Heights, kinds and numbers of foreign atoms, where the lattice names what they may be."""
    draw = torch.zeros(kind.shape, dtype=torch.float64)
    for i, (seed, there) in enumerate(zip(seeds, columns.present, strict=True)):
        draw[i, there] = torch.rand(
            int(there.sum()), generator=image_stream(seed, "substitutes"), dtype=torch.float64
        )
    foreign = (kind == DefectCode.BRIGHTER) | (kind == DefectCode.DARKER)
    number = torch.zeros_like(kind)
    for index, site in enumerate(lattice.sites):
        choice = [k for k, x in enumerate(lattice.substitutes) if x.species == site.species]
        if not choice:
            continue
        share = torch.tensor([lattice.substitutes[k].share for k in choice], dtype=torch.float64)
        which = torch.bucketize(draw, share.cumsum(0)[:-1] / share.sum(), right=True)
        here = foreign & (columns.site == index)
        number = torch.where(here, torch.tensor(choice)[which] + 1, number)
    own = torch.tensor([0.0, *(x.height for x in lattice.substitutes)], dtype=torch.float64)
    own = own[number]
    kind = torch.where(
        number > 0, torch.where(own > columns.height, DefectCode.BRIGHTER, DefectCode.DARKER), kind
    )
    return torch.where(number > 0, own, height), kind, number
