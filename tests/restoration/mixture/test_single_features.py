"""What occurs once and was filtered away is given back, and noise is not."""

import numpy as np
import pytest
import torch

from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.mixture.single_features import lost_features

SHAPE = (128, 128)


def spot(depth, width=1.8, place=(61, 66)):
    rows, columns = np.indices(SHAPE)
    return depth * np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / (2 * width**2))


def crystal(period):
    """A hexagonal lattice with an atom at (61, 66), heights from -.5 to 1."""
    rows, columns = np.indices(SHAPE) - np.reshape((61, 66), (2, 1, 1))
    angles = np.deg2rad((0, 60, 120))
    waves = (np.cos(a) * rows + np.sin(a) * columns for a in angles)
    return sum(np.cos(2 * np.pi / (period * 0.75**0.5) * wave) for wave in waves) / 3


def noisy(heights, sigma):
    return heights + np.random.default_rng(0).normal(0, sigma, SHAPE)


def lost(removed):
    return lost_features(torch.from_numpy(removed), torch.zeros(SHAPE, dtype=torch.float64))


@pytest.mark.parametrize("depth", [-1.0, 1.0])
def test_a_spot_that_was_removed_is_given_back(depth):
    removed = noisy(spot(depth), 0.3)
    found = lost(removed)
    heights = found.heights.numpy()
    assert 0.75 < np.sum(heights * spot(depth)) / np.sum(spot(depth) ** 2) < 1.15
    assert np.mean((heights - spot(depth)) ** 2) < 0.25 * np.mean(spot(depth) ** 2)
    assert 0 < found.share < 0.02


def test_noise_of_any_kind_is_not_given_back():
    rng = np.random.default_rng(3)
    white = rng.normal(0, 1, SHAPE)
    impulses = np.where(rng.random(SHAPE) < 0.02, 30.0, 0.0)
    lines = rng.normal(0, 2, (SHAPE[0], 1))
    uneven = white * np.linspace(0.3, 3, SHAPE[1])
    scar = np.zeros(SHAPE)
    scar[60:63, 20:100] = 3
    for removed in (white, white + impulses, white + lines, uneven, white + scar, 0 * white):
        found = lost(removed)
        assert found.share == 0
        assert not found.heights.any()


def test_a_vacancy_in_strong_noise_stays():
    vacancy = spot(1.2, 2.2)
    clean = crystal(9)
    result = denoise(noisy(clean - vacancy, 0.4))
    missing = np.sum((clean - result.data) * vacancy) / np.sum(vacancy**2)
    assert missing == pytest.approx(1, abs=0.3)
    assert any("there the result follows the scan" in line for line in result.history)
