"""The quality benchmark, at a size that takes seconds."""

import csv
import json

import pytest
import torch
from torch import nn

from stm_experiments import models
from stm_experiments.benchmarks.quality import __main__ as quality
from stm_experiments.benchmarks.quality import images as quality_images
from stm_experiments.benchmarks.quality import scores as quality_scores
from stm_experiments.metrics import whole_image
from stm_experiments.models import checkpoint
from stm_experiments.simulator import CUT_LATTICES, NOISES


@pytest.fixture
def bench(command, monkeypatch, tmp_path):
    """Return a function: the command line with two quick baselines; code, output, errors, rows."""
    monkeypatch.setattr(quality_scores, "BASELINES", ("Gaussian", "BraggFilter"))

    def run(*arguments):
        folder = tmp_path / "out"
        code, out, err = command(quality.main, "trained", "--out", folder, *arguments)
        path = folder / "quality.csv"
        rows = list(csv.DictReader(path.open())) if path.is_file() else []
        return code, out, err, rows

    return run


SMALL = ("--size", 96, "--images", 2)


def test_one_command_makes_tables_and_pictures(bench, tmp_path):
    code, out, err, rows = bench(
        *SMALL, "--lattices", "sc", "hex2", "--noise", "paper", "--noise-strength"
    )
    assert code == 0, err
    names = ["noisy input", "Gaussian", "Bragg filter", "clean image"]
    assert [(r["lattice"], r[""]) for r in rows] == [(k, n) for k in ("sc", "hex2") for n in names]
    for row in rows[:3]:
        assert float(row["MSE low"]) < float(row["MSE"]) < float(row["MSE high"])
        assert 0 <= float(row["missed"]) < 0.1
        assert row["n"] == "2"
    noisy, gaussian, bragg, clean = rows[:4]
    assert float(noisy["MSE"]) > float(gaussian["MSE"])
    assert float(bragg["vacancy h"]) > float(gaussian["vacancy h"]) + 0.05
    assert float(clean["atoms px"]) < 0.02
    assert "published validation pairs: ask with" in out
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {
        "quality.csv",
        "quality.png",
        "invention.csv",
        "noise_strength.csv",
        "noise_strength.png",
    }
    strengths = list(csv.reader((tmp_path / "out" / "noise_strength.csv").open()))
    errors = [float(x) for x in strengths[1][2:17:3]]
    assert errors == sorted(errors)
    assert errors[-1] > 50 * errors[0]  # untouched: as the square of the strength


def test_trained_models_are_scored_window_by_window(bench, tmp_path):
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    checkpoint.save(models.CAEA(), checkpoint.Card("CAEA", {}, 17), path)
    code, _, err, rows = bench(*SMALL, "--lattices", "fcc", "--noise", "paper", "--models", path)
    assert code == 0, err
    names = [row[""] for row in rows]
    trained = rows[names.index("CAE-A")]
    assert trained["seam"] != ""
    assert rows[0]["seam"] == ""


def test_what_cannot_be_scored_is_said(bench, monkeypatch):
    def absent():
        raise ValueError("BM3D is not installed: pip install bm3d")

    monkeypatch.setattr(quality_scores, "BASELINES", ("Gaussian", "BM3D"))
    monkeypatch.setattr(models, "BM3D", absent)
    code, out, _, rows = bench(*SMALL, "--lattices", "sc", "--noise", "paper")
    assert code == 0
    assert "left out: BM3D: BM3D is not installed" in out
    assert [row[""] for row in rows] == ["noisy input", "Gaussian", "clean image"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--lattices", "diamond"), "lattice 'diamond' is not known"),
        (("--noise", "loud"), "noise 'loud' is not known"),
        (("--published", "nowhere"), "there is no folder nowhere"),
        (("--images", "0"), "at least 1"),
        (("--models", "nothing.ckpt"), "nothing.ckpt"),
    ],
)
def test_wrong_input_is_one_sentence(bench, arguments, message):
    code, _, err, rows = bench(*arguments)
    assert code == 1
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not rows


def test_images_without_noise_have_no_bound(bench):
    code, _, err, rows = bench(*SMALL, "--lattices", "sc", "--noise", "none")
    assert code == 0, err
    assert float(rows[0]["MSE"]) < 1e-12  # what the noisy image, here the clean one, is off
    assert "/ bound" not in rows[0] or rows[0]["/ bound"] == ""


def test_nothing_is_overwritten(bench):
    assert bench(*SMALL, "--lattices", "sc", "--noise", "paper")[0] == 0
    code, _, err, _ = bench(*SMALL, "--lattices", "sc", "--noise", "paper")
    assert code == 1
    assert "exists" in err


def test_published_pairs_are_fitted_and_at_their_own_size(shared):
    images = quality_images.published_images(shared / "data" / "binev")
    assert [sum(image.lattice == kind for image in images) for kind in ("sc", "bcc", "fcc")] == [
        6,
        6,
        7,
    ]
    untouched = [whole_image.image_errors(c.noisy, c.clean)["mse"] for c in images]
    assert all(image.noisy.shape == (257, 257) for image in images)
    # PAPER.md 1.4, at their native size.
    for kind, wanted in (("sc", 0.0073), ("bcc", 0.0083), ("fcc", 0.0098)):
        own = [e for e, image in zip(untouched, images, strict=True) if image.lattice == kind]
        assert sum(own) / len(own) == pytest.approx(wanted, abs=6e-5)


def test_images_are_the_same_every_time_and_differ_from_each_other():
    first, again, other = (
        quality_images.simulated_image("bcc", "paper", index, 64) for index in (0, 0, 1)
    )
    assert torch.equal(first.noisy, again.noisy)
    assert not torch.equal(first.noisy, other.noisy)
    assert first.noisy.min() == -1
    assert first.noisy.max() == 1


@pytest.mark.parametrize("lattice", CUT_LATTICES)
def test_vacancies_are_the_same_image_without_some_atoms(lattice):
    test = quality_images.vacancy_test(lattice, NOISES["paper"], 0, 129)
    assert len(test.sites) >= 2
    changed = (test.full - test.vacant).abs() > 1e-6
    assert 0 < changed.float().mean() < 0.5
    rows, columns = test.sites.round().astype(int).T
    assert ((test.full - test.vacant)[rows, columns] > 0.2).all()
    assert test.noisy.min() == -1


def test_scans_are_prepared_like_scans():
    image = quality_images.simulated_image("hex1", "realistic", 0, 96)
    assert image.normalisation == "plane"
    assert image.vacancies is None
    assert float((image.noisy - image.clean).median()) == pytest.approx(0, abs=1e-3)


def test_a_model_gets_the_image_in_its_own_scale():
    seen = []

    def remember(x):
        seen.append(x)
        return x

    image = quality_images.simulated_image("sc", "paper", 0, 64)
    network = quality_scores.DenoisingMethod(remember, None, 1, "plane")
    output = network(image.noisy, "minmax")
    torch.testing.assert_close(output, image.noisy, atol=1e-5, rtol=0)
    assert float(torch.quantile(seen[0], 0.99)) == pytest.approx(1, abs=1e-2)
    assert torch.equal(
        quality_scores.DenoisingMethod(nn.Identity())(image.noisy, "minmax"), image.noisy
    )
    assert json.dumps(quality_scores.measure_interval([{"mse": 0.04}] * 2, "psnr").mean) == "20.0"
