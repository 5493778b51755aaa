"""Graphite-like scans with known vectors: how right they are, and what the standard errors say."""

import numpy as np
import pytest

from stm_experiments import load
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.recipes.find_lattice import find_precisely

LENGTH = 0.246  # nm
PIXEL = 0.0205  # nm


def scanned(seed, size=110, drift=0.0, noise=0.3, jitter=0.35):
    """A tilted scan of a turned hexagonal lattice and its vectors in the image, px.

    Rows are shifted by a random walk that returns (standard deviation ``jitter`` px); ``drift`` is
    a shear and a stretch along the slow axis.
    """
    rng = np.random.default_rng(seed)
    turn = np.radians(60 * rng.random() + np.array([0, 120]))
    vectors = LENGTH / PIXEL * np.stack([np.sin(turn), np.cos(turn)], 1)
    bend = np.array([[1 + drift, -0.7 * drift], [0, 1]])
    rows, columns = np.mgrid[:size, :size].astype(float)
    shift = np.zeros(size)
    for row in range(1, size):
        shift[row] = 0.8 * shift[row - 1] + 0.6 * rng.standard_normal()
    place = np.stack([rows, columns - jitter * shift[:, None]], -1) @ np.linalg.inv(bend)
    g = np.linalg.inv(vectors).T
    image = sum(np.cos(2 * np.pi * place @ wave) for wave in (g[0], g[1], g[0] - g[1]))
    slope = rng.uniform(-0.3, 0.3, 2)
    image = image + slope[0] * rows + slope[1] * columns + noise * rng.standard_normal(rows.shape)
    return image, vectors @ bend


def in_terms_of(vectors, fit):
    """The found vectors as these ones, and their covariance: a hexagonal lattice has several."""
    change = np.round(vectors @ np.linalg.inv(fit.vectors))
    both = np.kron(change, np.eye(2))
    return change @ fit.vectors, both @ fit.covariance @ both.T


@pytest.mark.parametrize(("seed", "drift"), [(0, 0.0), (1, 0.02), (2, -0.03)])
def test_both_reciprocal_vectors_by_default(seed, drift):
    """Within .4 % of the known ones, in the image that the command chooses by itself."""
    image, vectors = scanned(seed, 160, drift)
    scan = Scan(image, np.ones(image.shape, bool), "m", (PIXEL, PIXEL), "Z")
    settings = {"denoise": "auto", "invert": False, "grains": 1}
    fit = find_precisely(scan, load("surface_denoiser"), settings).fits[0]
    true, found = (np.linalg.inv(v).T / PIXEL for v in (vectors, in_terms_of(vectors, fit)[0]))
    wrong = np.linalg.norm(found - true, axis=1) / np.linalg.norm(true, axis=1)
    assert wrong.max() < 0.004
    assert fit.occupied.mean() > 0.99


def test_standard_errors_cover():
    """Of 24 scans x 4 components, about 68 % are within one standard error, 95 % within two."""
    ratios = []
    for seed in range(24):
        image, vectors = scanned(100 + seed)
        found, covariance = in_terms_of(vectors, find_lattice(image))
        ratios.append(np.abs(found - vectors).ravel() / np.sqrt(np.diag(covariance)))
    ratios = np.array(ratios)
    assert 0.53 < (ratios < 1).mean() < 0.83
    assert (ratios < 2).mean() > 0.86
