"""The noise of images whose noise is known."""

import numpy as np
import pytest

from stm_experiments.core.noise import noise_sigma


@pytest.mark.parametrize("sigma", [0.1, 3.0])
def test_noise_on_a_slope_is_measured(sigma):
    noise = np.random.default_rng(0).normal(0, sigma, (200, 200)).astype(np.float32)
    slope = np.linspace(0, 50, 200, dtype=np.float32)
    assert noise_sigma(noise + slope) == pytest.approx(sigma, rel=0.02)
    assert noise_sigma(np.zeros((2, 2), np.float32)) == 0.0
