"""Standard errors of a lattice: they are as large as the errors, and are carried over rightly."""

import numpy as np
import pytest

from stm_experiments.lattice.errors import (
    angle_error,
    length_errors,
    placing_covariance,
    reciprocal_errors,
    vector_covariance,
)
from stm_experiments.lattice.sites import fit_mean_lattice

VECTORS = np.array([[11.0, 2.0], [-3.0, 13.0]])


def measured(seed, distortion):
    """Number the atoms of a lattice and displace them: each by itself, or nearby ones alike."""
    random = np.random.default_rng(seed)
    cell = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 2, indexing="ij"), -1).reshape(-1, 2)
    place = cell @ VECTORS + 75
    inside = ((place > 3) & (place < 147)).all(1)
    cell, place = cell[inside], place[inside]
    moved = 0.2 * random.standard_normal(place.shape)
    if distortion == "rows":  # neighbouring rows of the scan are shifted alike
        shifts = np.convolve(random.standard_normal(160), np.ones(10) / 10, "same")
        moved[:, 1] += shifts[place[:, 0].astype(int)]
    return cell, np.zeros(len(cell), int), place + moved


@pytest.mark.parametrize("distortion", ["atoms", "rows"])
def test_two_thirds_of_the_errors_are_within_one_standard_error(distortion):
    ratios = []
    for seed in range(300):
        atoms = measured(seed, distortion)
        found = fit_mean_lattice(*atoms).vectors
        covariance = vector_covariance(*atoms, 150)
        ratios.append((found - VECTORS).ravel() / np.sqrt(np.diag(covariance)))
    ratios = np.abs(ratios)
    assert (ratios < 1).mean() == pytest.approx(0.68, abs=0.06)
    assert (ratios < 2).mean() == pytest.approx(0.95, abs=0.04)


def test_errors_of_lengths_angle_and_reciprocal_vectors():
    random = np.random.default_rng(0)
    root = 1e-3 * random.standard_normal((4, 4))
    covariance = root @ root.T
    vectors = VECTORS + random.multivariate_normal(np.zeros(4), covariance, 20_000).reshape(
        -1, 2, 2
    )
    reciprocal = np.linalg.inv(vectors).transpose(0, 2, 1)
    lengths = np.linalg.norm(vectors, axis=2)
    angles = np.degrees(np.arctan2(vectors[..., 1], vectors[..., 0]))
    for found, samples in (
        (reciprocal_errors(VECTORS, covariance), reciprocal),
        (length_errors(VECTORS, covariance), lengths),
        (angle_error(VECTORS, covariance), angles[:, 1] - angles[:, 0]),
    ):
        np.testing.assert_allclose(found, samples.std(0), rtol=0.03)


def test_places_without_any_error_have_one_by_their_placing():
    """Where strips agree exactly, the error of a vector falls as that of any fit to N atoms."""
    cell, kind, place = measured(0, "atoms")
    exact = cell @ VECTORS
    assert np.sqrt(np.diag(vector_covariance(cell, kind, exact + 75, 150))).max() < 1e-9
    errors = np.sqrt(np.diag(placing_covariance(cell, kind)))
    assert errors == pytest.approx(0.006 / np.repeat(cell.std(0), 2) / len(cell) ** 0.5, rel=0.1)
    assert len(place) == len(cell)
