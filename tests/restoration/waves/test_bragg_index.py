"""Peaks of one crystal are combinations of a few vectors; other peaks are not."""

import torch

from stm_experiments.restoration.waves.bragg_index import indexed_peaks

CUT = torch.tensor([[21.3, 3.1], [-4.2, 18.7], [9.7, 11.9]], dtype=torch.float64)  # steps
WAVE = torch.tensor([[5.5, 31.2]], dtype=torch.float64)


def combinations(vectors, most):
    counts = torch.arange(-most, most + 1, dtype=torch.float64)
    sums = torch.cartesian_prod(*[counts] * len(vectors)) @ vectors
    upper = sums[(sums[:, 0] > 0) & (sums.norm(dim=1) < 60)]
    return upper[upper.norm(dim=1).argsort()]


def test_the_peaks_of_a_surface_are_indexed_and_an_instruments_wave_is_not():
    lattice = combinations(CUT[:2], 2)
    noise = 0.05 * torch.randn(lattice.shape, generator=torch.Generator().manual_seed(0))
    found = indexed_peaks(torch.cat([lattice + noise, WAVE]))
    assert found[:-1].all()
    assert not found[-1]


def test_a_plane_cut_through_a_crystal_needs_three_vectors():
    cut = combinations(CUT, 1)
    found = indexed_peaks(torch.cat([cut, WAVE]))
    assert found[:-1].all()
    assert not found[-1]


def test_few_peaks_and_peaks_without_order_are_not_indexed():
    assert not indexed_peaks(CUT).any()
    assert indexed_peaks(CUT[:0]).shape == (0,)
    random = 50 * torch.rand(12, 2, generator=torch.Generator().manual_seed(1)).double()
    assert indexed_peaks(random).sum() < 9
