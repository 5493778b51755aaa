"""Classes, anomalies and angles of sites whose truth is known."""

import json

import numpy as np
import pytest

from stm_experiments.lattice.site_classes import (
    angle_errors,
    class_agreement,
    classify_sites,
    defect_auroc,
    rotation_variance,
    score_anomalies,
)
from stm_experiments.reporting.result_table import NO_VALUE
from stm_experiments.reporting.runs import find_runs
from stm_experiments.reporting.settings import Settings
from stm_experiments.reporting.tables import sites_table


@pytest.fixture
def blobs():
    draws = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2], [200, 100, 50])
    middles = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    return middles[kinds] + 0.3 * draws.normal(size=(350, 2)), kinds


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_classes_are_the_kinds_the_largest_first(blobs, method):
    codes, kinds = blobs
    labels = classify_sites(codes, 3, method)
    assert class_agreement(labels, kinds) > 0.99
    assert list(np.bincount(labels)) == [200, 100, 50]


def test_what_cannot_be_divided_is_refused(blobs):
    with pytest.raises(ValueError, match="2 sites cannot be divided into 3"):
        classify_sites(blobs[0][:2], 3)
    with pytest.raises(ValueError, match="kmeans or gmm"):
        classify_sites(blobs[0], 3, "dbscan")


def test_either_a_bad_reconstruction_or_a_rare_code_is_strange(blobs):
    codes, _ = blobs
    draws = np.random.default_rng(1)
    made = np.zeros((350, 24, 24))
    patches = 0.05 * draws.normal(size=made.shape)
    patches[3, 10:14, 10:14] += 0.5
    codes[7] = [3.0, 3.0]
    patches[9, :3, :3] += 0.5  # far from the site: another one's business
    found = score_anomalies(patches, made, codes)
    assert set(np.argsort(-found.score)[:2]) == {3, 7}
    assert found.error.argmax() == 3
    assert found.density.argmax() == 7
    assert found.score[9] < np.quantile(found.score, 0.99)
    assert np.median(found.error) == pytest.approx(0, abs=1e-9)
    assert np.median(found.density) == pytest.approx(0, abs=1e-9)


def test_angles_are_compared_modulo_the_symmetry():
    draws = np.random.default_rng(2)
    truth, kinds = draws.uniform(-4, 4, 300), np.arange(300) % 3
    angle = truth + 0.7 * kinds + 2 * np.pi / 3 * draws.integers(-3, 3, 300)
    assert np.abs(angle_errors(angle, truth, kinds, 3)).max() < 1e-9
    noise = 0.05 * draws.normal(size=300)
    rms = np.sqrt(np.mean(angle_errors(angle + noise, truth, kinds, 3) ** 2))
    assert rms == pytest.approx(0.05, rel=0.2)
    chance = angle_errors(draws.uniform(-4, 4, 300), truth, kinds, 3)
    assert np.degrees(np.sqrt(np.mean(chance**2))) == pytest.approx(60 / np.sqrt(3), rel=0.15)


def test_invariance_and_auroc():
    codes = np.random.default_rng(3).normal(size=(50, 2))
    assert rotation_variance(np.stack([codes, codes])) == 0
    turned = np.random.default_rng(4).normal(size=(40, 50, 2))
    assert rotation_variance(turned) == pytest.approx(1, abs=0.05)
    score = np.array([0.0, 1.0, 2.0, 3.0])
    assert defect_auroc(score, np.array([False, False, True, True])) == 1
    assert np.isnan(defect_auroc(score, np.zeros(4, bool)))


def test_a_report_has_a_row_for_each_run_that_looked_at_sites(tmp_path):
    numbers = {"test/sites/turned": 0.02, "test/sites/ari": 0.9}
    for name, metrics in (
        ("a", numbers),
        ("b", {"test/sites/turned": 0.5}),
        ("c", {"test/mse": 1.0}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("seed: 3\n", encoding="utf-8")
        (tmp_path / name / "run.json").write_text('{"status": "finished"}', encoding="utf-8")
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    runs = find_runs(tmp_path)
    rows = sites_table(runs, Settings(runs)).rows
    assert [[cell.text for cell in row[3:6]] for row in rows] == [
        ["0.900", NO_VALUE, "0.020"],
        [NO_VALUE, NO_VALUE, "0.500"],
    ]
