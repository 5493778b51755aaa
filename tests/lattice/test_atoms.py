"""Atoms with known positions: found, matched, and compared with the truth."""

import math

import numpy as np
import pytest
import torch
from drawn_atoms import SIZE, grid, picture, white

from stm_experiments.lattice.atom_errors import (
    position_bound,
    position_errors,
    vacancy_preservation,
    visible_atoms,
)
from stm_experiments.lattice.atoms import find_atoms, match_points, neighbour_distance


def test_atoms_are_found_to_a_fraction_of_a_pixel():
    true = grid(jitter=0.4)
    found = find_atoms(picture(true))
    rows, columns = match_points(true, found, 1.0)
    assert len(rows) == len(true) == len(found)
    assert np.abs(true[rows] - found[columns]).max() < 0.03  # a parabola is no Gaussian


def test_matching_is_one_to_one_and_of_least_distance():
    true = np.array([[0.0, 0.0], [0.0, 2.0], [30.0, 30.0]])
    found = np.array([[0.0, 1.1], [0.0, 3.1], [50.0, 50.0]])
    rows, columns = match_points(true, found, 3.0)  # the nearest of each would take one twice
    assert list(zip(rows, columns, strict=True)) == [(0, 0), (1, 1)]
    assert len(match_points(true, np.empty((0, 2)), 3.0)[0]) == 0


def test_position_errors_of_displaced_and_missing_atoms():
    true = grid()
    moved = true + np.array([0.3, 0.0])
    found = position_errors(picture(moved), true)
    assert found["atom_rmse"] == pytest.approx(0.3 / math.sqrt(2), abs=0.01)
    assert found["atoms_missed"] == 0
    found = position_errors(picture(true[5:]), true)
    assert found["atoms_missed"] == pytest.approx(5 / len(true))
    nothing = position_errors(torch.zeros(SIZE, SIZE), np.empty((0, 2)))
    assert math.isnan(nothing["atom_rmse"])


def test_moving_atoms_onto_a_lattice_is_an_error():
    jittered = grid(jitter=0.2)
    found = position_errors(picture(grid()), jittered)
    assert found["atom_rmse"] == pytest.approx(0.2, rel=0.2)


def test_no_unbiased_estimate_beats_the_bound():
    """A matched filter reaches the bound of a lone atom: that is what it is."""
    true, sigma, height, step = np.array([[47.3, 48.6]]), 0.1, 1.5, np.array([1e-3, 0])
    bound = position_bound(sigma, np.array([height]))
    assert bound == pytest.approx(sigma / height * math.sqrt(2 / math.pi))
    slope = picture(true + step, height=height) - picture(true - step, height=height)
    slope = (slope / 2e-3).double().numpy()  # the derivative along axis 0 is the best estimator
    errors = [
        float((slope * white(sigma, seed).numpy()).sum() / (slope**2).sum()) for seed in range(400)
    ]
    assert np.std(errors) == pytest.approx(bound, rel=0.1)
    two = position_bound(sigma, np.array([1.0, 2.0]))
    assert two == pytest.approx(sigma * math.sqrt(2 / math.pi * (1 + 0.25) / 2))
    assert math.isnan(position_bound(sigma, np.empty(0)))


def test_covered_atoms_are_not_looked_for():
    top = grid(period=12.0)
    below = top[:10] + np.array([1.5, 0.0])
    clean = torch.maximum(picture(top), picture(below, height=0.8))
    visible = visible_atoms(np.concatenate([top, below]), clean)
    assert sorted(map(tuple, visible)) == sorted(map(tuple, top))
    assert neighbour_distance(top) == pytest.approx(12)


def test_vacancies_kept_half_filled_and_invented_away():
    points = grid()
    sites, rest = points[[12, 40]], np.delete(points, [12, 40], 0)
    full, vacant = picture(points), picture(rest)
    for share in (0.0, 0.5, 1.0):
        output = (1 - share) * vacant + share * full
        found = vacancy_preservation(output, full, vacant, sites)
        assert found == pytest.approx(share, abs=1e-5)
    assert math.isnan(vacancy_preservation(full, full, vacant, np.empty((0, 2))))
    with pytest.raises(ValueError, match="must be seen"):
        vacancy_preservation(full, full, full, sites)
