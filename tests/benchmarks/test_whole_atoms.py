"""The calibration of certain atoms, at a size that takes seconds."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from stm_experiments.benchmarks import stated_error, whole_atoms
from stm_experiments.benchmarks.quality.collection import CaseName
from stm_experiments.benchmarks.whole_atoms import (
    AtomErrors,
    atom_errors,
    is_bounded,
    least_threshold,
    main,
)

ROWS, COLUMNS = np.mgrid[:96, :96]


def atoms(heights):
    """Draw atoms 16 px apart with the given heights, row by row."""
    places = [(row, column) for row in range(8, 96, 16) for column in range(8, 96, 16)]
    return sum(
        height * np.exp(-((ROWS - row) ** 2 + (COLUMNS - column) ** 2) / 18)
        for height, (row, column) in zip(heights, places, strict=True)
    )


def test_invented_and_erased_atoms_are_counted():
    truth, result = np.ones(36), np.ones(36)
    truth[14], result[21] = 0, 0
    noise = np.random.default_rng(0).normal(0, 0.02, (96, 96))
    clean = atoms(truth)
    errors = atom_errors(clean + noise, clean, atoms(result), np.full((96, 96), 0.02))
    assert (len(errors.present), errors.invented.sum(), len(errors.erased)) == (35, 1, 1)
    assert errors.wrong == pytest.approx(2 / 36)
    assert errors.erased[0] < 0  # the scan still has it


def test_the_bound_needs_as_many_scans_as_the_binomial_distribution_says():
    assert not is_bounded([0.0] * 298)
    assert is_bounded([0.0] * 299)
    assert not is_bounded([0.005] * 300)
    assert is_bounded([0.005] * 3000)
    assert not is_bounded([0.02] * 10**6)


def test_the_threshold_bounds_the_true_loss_as_often_as_is_stated():
    """Scans with one wrong atom in ten whose scores are normal: the true loss is known."""
    rng = np.random.default_rng(0)
    failures = 0
    for _ in range(60):
        scans = []
        for _ in range(400):
            invented = np.arange(10) < 1
            scans.append(AtomErrors(rng.normal(size=10) + 3 * ~invented, invented, np.empty(0)))
        threshold = least_threshold(scans)
        true = 0.1 * 0.5 * math.erfc(threshold / math.sqrt(2))
        failures += true > 0.01
    assert failures <= 6


def test_too_few_scans_are_refused():
    scan = AtomErrors(np.ones(5), np.zeros(5, bool), np.empty(0))
    with pytest.raises(ValueError, match="too few"):
        least_threshold([scan] * 100)


def test_one_command_calibrates_and_measures(command, monkeypatch, tmp_path):
    monkeypatch.setattr(stated_error, "SHAPES", ((64, 64),))
    monkeypatch.setattr(whole_atoms, "SHARE", 0.99)
    small = [CaseName("kagome", "white_0.1", "development", 0, (64, 64))]
    monkeypatch.setattr(whole_atoms, "case_names", lambda split: small)
    file = tmp_path / "atoms.json"
    code, out, err = command(main, "--images", 3, "--write", file, "--split", "development")
    assert code == 0, err
    assert json.loads(Path(file).read_text())["scans"] == 3
    assert "surface: lattice" in out
    code, _, err = command(main, "--images", 3, "--write", file)
    assert code == 1
    assert "is not overwritten" in err
    code, _, err = command(main)
    assert code == 1
    assert "give --write" in err
