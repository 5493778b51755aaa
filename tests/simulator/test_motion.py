"""Drift, creep and jitter of rows: geometry, exact enough to be the truth."""

import math

import numpy as np
import pytest
import torch

from stm_experiments.simulator import LATTICES, PRESETS, MotionNoise, Noise, simulate
from stm_experiments.simulator.lattices.atoms import Atoms
from stm_experiments.simulator.microscope.path import ScanPath, interpolate_lines

SC, PHYSICAL = LATTICES["sc"], PRESETS["physical"]
FLAT = torch.tensor([[0.0, 0.0, 0.13]], dtype=torch.float64)


def images(motion, n=4, size=129, **options):
    return simulate([SC] * n, range(n), Noise(motion=motion), PHYSICAL, size, **options)


def test_interpolation_is_exact_to_a_thousandth_on_atoms():
    r = torch.arange(40.0)

    def gaussian(row, column):
        return torch.exp(-((r[:, None] - row) ** 2 + (r - column) ** 2) / (2 * 2.1**2))

    shift = torch.rand(6, 2, dtype=torch.float64) * 3 - 1.5
    for u, v in shift.tolist():
        moved = torch.tensor([u, v], dtype=torch.float64).expand(1, 30, 2)
        seen = interpolate_lines(gaussian(20.3, 18.6)[None, None], moved, 5)
        expected = gaussian(20.3 - u, 18.6 - v)[5:35, 5:35]
        assert (seen[0, 0] - expected).abs().max() < 2e-3
    still = interpolate_lines(gaussian(20.3, 18.6)[None, None], torch.zeros(1, 30, 2), 5)
    assert torch.equal(still[0, 0], gaussian(20.3, 18.6)[5:35, 5:35])


def test_drift_shears_the_lattice_as_the_affine_map_says():
    """Bragg peaks move from k to A^T k, where line r, column c shows the sample at A (r, c)."""
    size = 257
    drifting = images(MotionNoise(drift=0.2), 1, size, orientation=FLAT)
    slope = drifting.truth["moved"][0].diff(dim=0)
    torch.testing.assert_close(slope, slope[:1].expand_as(slope))
    assert float(slope[0].norm()) == pytest.approx(0.2, rel=1e-6)
    affine = np.array([[1 + float(slope[0, 0]), 0.0], [float(slope[0, 1]), 1.0]])

    window = np.outer(np.hanning(size), np.hanning(size))
    power = np.abs(np.fft.fft2(drifting.clean[0, 0].numpy() * window, (1024, 1024)))
    angle = 0.13 * math.pi
    for peak in (np.array([1, 0]), np.array([0, 1])):
        turned = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        k = affine.T @ (turned @ peak) / SC.spread * 1024
        around = np.round(k).astype(int)
        near = np.array(
            [
                [power[(around[0] + i) % 1024, (around[1] + j) % 1024] for j in range(-6, 7)]
                for i in range(-6, 7)
            ]
        )
        found = around + np.array(np.unravel_index(near.argmax(), near.shape)) - 6
        assert np.abs(found - k).max() <= 1


def test_atoms_are_listed_where_the_distorted_image_shows_them():
    moving = images(MotionNoise(drift=0.3, creep=0.05, row_jitter=0.3))
    still = images(MotionNoise())
    u, v, depth, present = moving.atoms
    inside = present & (u > 1) & (u < 127) & (v > 1) & (v < 127) & (depth < 0.2)
    index = inside.nonzero()[:, 0]
    heights = moving.clean[index, 0, u[inside].round().long(), v[inside].round().long()]
    expected = 4 * ((2 - depth[inside]) / 2) ** 1.5
    assert len(heights) > 100
    assert ((heights / expected) > 0.75).float().mean() > 0.99
    assert float((heights / expected).mean()) > 0.93
    assert (moving.clean - still.clean).abs().max() > 1
    assert torch.equal(moving.noisy, moving.clean)


def test_the_positions_of_atoms_invert_the_displacement():
    moved = MotionNoise(drift=0.3, creep=0.05).draw(100, [1, 2])
    row, column = 1 + 97 * torch.rand(2, 50).double(), 100 * torch.rand(2, 50).double()
    low = row.floor().long()
    share = row - low
    at = [
        (1 - share) * moved[..., axis].gather(1, low) + share * moved[..., axis].gather(1, low + 1)
        for axis in (0, 1)
    ]
    border = 3
    sample = Atoms(row + at[0] + border, column + at[1] + border, torch.zeros(2, 50), None)
    u, v, *_ = ScanPath(moved, border).atoms(sample)
    torch.testing.assert_close(u, row, atol=1e-6, rtol=0)
    assert (v - column).abs().max() < 1  # along a line the displacement is that of the line


def test_creep_ends_and_never_turns_the_scan_back():
    moved = MotionNoise(creep=0.05).draw(257, list(range(64)))
    assert moved[:, 0].norm(dim=1).max() == pytest.approx(0.05 * 257, rel=0.01)
    assert not moved[:, 110:].any()
    assert moved[..., 0].diff(dim=1).min() > -0.5


def test_row_jitter_has_its_deviation_and_moves_rows_sideways_only():
    moved = MotionNoise(row_jitter=0.5).draw(257, list(range(20)))
    assert not moved[..., 0].any()
    assert float(moved[..., 1].std()) == pytest.approx(0.5, rel=0.05)


def test_domains_move_with_the_sample():
    plain = images(MotionNoise(), domains=2)
    moved = images(MotionNoise(drift=0.2), domains=2)
    assert moved.domain.shape == plain.domain.shape
    assert set(moved.domain.unique().tolist()) == {-1, 0, 1}
    assert not torch.equal(moved.domain, plain.domain)
