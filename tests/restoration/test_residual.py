"""The measures in the caption of a residual find what was planted there, and nothing in noise."""

import numpy as np
import pytest

from stm_experiments.restoration.residual import measure_residual

ROWS, COLUMNS = np.mgrid[:192, :192].astype(float)
LATTICE = 1e-11 * (np.cos(2 * np.pi * COLUMNS / 12) + np.cos(2 * np.pi * (ROWS + COLUMNS / 5) / 14))
NOISE = 3e-12 * np.random.default_rng(0).normal(size=LATTICE.shape)


def test_white_noise_is_white_noise():
    found = measure_residual(LATTICE + NOISE, LATTICE)
    assert found.rms == pytest.approx(3e-12, rel=0.02)
    assert found.peaks >= 2
    assert found.lattice < 2 * found.lattice_noise
    assert found.edges == pytest.approx(1, abs=0.05)
    assert found.rows == pytest.approx(found.rows_noise, rel=0.5)
    assert found.areas == pytest.approx(found.areas_noise, rel=0.2)


def test_each_planted_fault_is_found():
    rng = np.random.default_rng(1)
    lost = measure_residual(LATTICE + NOISE, 0.96 * LATTICE)
    assert lost.lattice == pytest.approx(0.04, abs=0.01)
    rows = measure_residual(LATTICE + NOISE + 2e-12 * rng.normal(size=(192, 1)), LATTICE)
    assert rows.rows == pytest.approx(4 / 13, abs=0.1)
    step = 2e-10 * (COLUMNS > 100)
    edge = measure_residual(
        LATTICE + step + NOISE, LATTICE + 2e-10 / (1 + np.exp(-(COLUMNS - 100.5) / 1.5))
    )
    assert edge.edges > 3
    assert edge.lattice < 2 * edge.lattice_noise  # a step is no lattice
    terrace = measure_residual(LATTICE + NOISE, LATTICE + 4e-12 * (COLUMNS > 96) - 2e-12)
    assert terrace.areas == pytest.approx(2e-12, rel=0.1)
    assert "means of 16 px squares 1.9" in terrace.sentence("m")


def test_gaps_small_images_and_identity():
    before = LATTICE + NOISE
    before[80:] = np.nan
    found = measure_residual(before, LATTICE)
    assert found.rms == pytest.approx(3e-12, rel=0.03)
    assert measure_residual(LATTICE, LATTICE).sentence("m") == "The residual is 0 everywhere."
    for side in (1, 7, 16):
        words = measure_residual((LATTICE + NOISE)[:side, :side], LATTICE[:side, :side]).sentence(
            "m"
        )
        assert "nan" not in words
    assert measure_residual(np.full((9, 9), np.nan), np.zeros((9, 9))).rms == 0
