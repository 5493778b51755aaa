"""The canonical pose of a cut crystal, and the phases of its atoms."""

import math

import pytest
import torch

from stm_experiments.simulator import CUT_LATTICES, PRESETS, place_atoms, render_topographs
from stm_experiments.simulator.centred import (
    centred_topographs,
    phase_maps,
    reciprocal_vectors,
)

PHYSICAL = PRESETS["physical"]


def test_reciprocal_vectors_are_those_of_the_primitive_cell():
    assert set(reciprocal_vectors(CUT_LATTICES["sc"].basis)) == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    for name, sites in (("bcc", 2), ("fcc", 4), ("hex1", 2)):
        vectors = torch.tensor(reciprocal_vectors(CUT_LATTICES[name].basis)).double()
        assert torch.det(vectors).abs().item() == pytest.approx(sites)
    with pytest.raises(ValueError, match="not the centring"):
        reciprocal_vectors(((0.0, 0.0, 0.0), (0.3, 0.0, 0.0)))


@pytest.mark.parametrize("name", CUT_LATTICES)
def test_phases_are_zero_at_every_atom_in_the_plane_of_the_cut(name):
    lattice, size = CUT_LATTICES[name], 129
    draws = torch.Generator().manual_seed(0)
    orientation, offset = (torch.rand(6, 3, generator=draws, dtype=torch.float64) for _ in "ab")
    atoms = place_atoms(lattice, orientation, PHYSICAL, size, offset)
    maps = phase_maps(lattice, orientation, offset, size)
    assert maps.shape == (6, 3, 3)
    deepest = 0.03
    errors = []
    for i in range(6):
        top = atoms.present[i] & (atoms.depth[i] < deepest)
        place = torch.stack([atoms.u[i], atoms.v[i]], 1)[top] * lattice.spread + size // 2
        phases = maps[i, :, :1] + maps[i, :, 1:] @ place.T
        off = torch.remainder(phases + math.pi, 2 * math.pi) - math.pi
        errors += off.flatten().tolist()
    # An atom lies below the plane by its depth, along the normal.
    assert len(errors) > 50
    assert max(map(abs, errors)) < 2 * math.pi * math.sqrt(3) / min(lattice.cell) * deepest


@pytest.mark.parametrize("name", ["sc", "hex2"])
def test_the_centred_topograph_shows_the_crystal_where_its_phases_are_zero(name):
    lattice = CUT_LATTICES[name]
    orientation = torch.tensor([[0.2, 0.6, 0.7], [0.2, 0.6, 0.1]], dtype=torch.float64)
    first, second = centred_topographs(lattice, orientation, PHYSICAL, 17)
    assert torch.equal(first, second)
    assert first[0, 8, 8] == first.max() == 1
    assert first.min() == -1
    upright = torch.tensor([[0.2, 0.6, 0.0]], dtype=torch.float64)
    maps = phase_maps(lattice, upright, torch.zeros(1, 3), 17)
    middle = maps[0, :, 0] + 8 * maps[0, :, 1:].sum(1)
    torch.testing.assert_close(middle, torch.zeros(3, dtype=torch.float64))
    whole = render_topographs(lattice, upright, size=65)[0, 0, 24:41, 24:41]
    scaled = 2 * (whole - whole.min()) / (whole.max() - whole.min()) - 1
    torch.testing.assert_close(first[0], scaled, atol=1e-5, rtol=0)
