"""Graphite-like scans with known vectors: how right they are, and what the standard errors say."""

import numpy as np
import pytest
from drawn_lattices import drawn, sites_of

from stm_experiments import load
from stm_experiments.benchmarks.lattice import (
    GRAPHITE_PIXEL,
    errors_in_standard_errors,
    in_terms_of,
    simulate_graphite,
)
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.recipes.find_lattice import find_precisely


@pytest.mark.parametrize(("seed", "drift"), [(0, 0.0), (1, 0.02), (2, -0.03)])
def test_both_reciprocal_vectors_by_default(seed, drift):
    """Within .4 % of the known ones, in the image that the command chooses by itself."""
    image, vectors = simulate_graphite(seed, 160, drift)
    scan = Scan(image, np.ones(image.shape, bool), "m", (GRAPHITE_PIXEL, GRAPHITE_PIXEL), "Z")
    settings = {"denoise": "auto", "invert": False, "grains": 1}
    fit = find_precisely(scan, load("surface_denoiser"), settings).fits[0]
    true, found = (
        np.linalg.inv(v).T / GRAPHITE_PIXEL for v in (vectors, in_terms_of(vectors, fit)[0])
    )
    wrong = np.linalg.norm(found - true, axis=1) / np.linalg.norm(true, axis=1)
    assert wrong.max() < 0.004
    assert fit.occupied.mean() > 0.99


def test_standard_errors_cover():
    """Of 24 scans x 4 components, about 68 % are within one standard error, 95 % within two."""
    ratios = errors_in_standard_errors([simulate_graphite(100 + seed) for seed in range(24)])
    assert 0.53 < (ratios < 1).mean() < 0.83
    assert (ratios < 2).mean() > 0.86


def test_errors_without_noise_are_neither_0_nor_large():
    """Atoms on pixels agree nearly exactly from strip to strip."""
    fit = find_lattice(drawn(sites_of([[0, 10.0], [10.0, 0]], [[0, 0]]), 2.2))
    errors = np.sqrt(np.diag(fit.covariance))
    assert (errors > 5e-5).all()
    assert (errors < 2e-3).all()
    noisy = find_lattice(simulate_graphite(0).image)
    assert noisy.error_limit == "the scatter between strips of the scan"
