"""The names of numbers, and what is best of each measure."""

import json
from pathlib import Path

import pytest

from stm_experiments.core.results.measures import MEASURES, Measure, check_metric, measure_of
from stm_experiments.core.results.names import (
    Name,
    metric_name,
    networks_named,
    read_name,
    split_of,
    with_current_names,
)
from stm_experiments.metrics.measures import METRICS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("test/mse_noisy", Name("", "test", "", "mse_noisy")),
        ("val/loss", Name("", "val", "", "loss")),
        ("PCA-10/test/mse_noisy", Name("PCA-10", "test", "", "mse_noisy")),
        ("runs/test/a.ckpt/val/fcc/mse", Name("runs/test/a.ckpt", "val", "fcc", "mse")),
        ("test/latent/probe", Name("", "test", "latent", "probe")),
    ],
)
def test_a_name_is_read_as_it_is_made(text, name):
    assert read_name(text) == name
    assert metric_name(name.measure, name.split, network=name.network, part=name.part) == text


def test_numbers_of_runs_are_known_and_misspelt_ones_refused():
    run = json.loads(
        (ROOT / "docs/data/paper_published/paper_baseline_fcc/metrics.json").read_text()
    )
    for text in (*with_current_names(run), "train/grad_norm", "test/sites/new", "val/largest"):
        check_metric(text, {"largest": Measure("largest error")})
    for text, hint in (("val/lss", "mean 'val/loss'"), ("loss", "such as val/loss")):
        with pytest.raises(ValueError, match=f"{text}: .*{hint}"):
            check_metric(text, {})


def test_what_has_no_split_is_no_name():
    assert read_name("grad_norm") is None
    assert read_name("lr") is None


@pytest.mark.parametrize("split", ["test", "validation"])
def test_names_of_earlier_versions_are_renamed(split):
    short = "test" if split == "test" else "val"
    old = {
        f"{split}/mse_noisy": 1,
        "baselines/noisy input/mse_clean_ci95": 2,
        "baselines/PCA-10/fcc/mse_noisy": 3,
        "baselines/untrained/latent/probe": 4,
        "latent/ari": 5,
        "floor/mse_clean": 6,
        "val/loss": 7,
        "sites/auroc_vacancy": 8,
    }
    new = {
        f"{short}/mse_noisy": 1,
        f"noisy input/{short}/mse_clean_ci95": 2,
        f"PCA-10/{short}/fcc/mse_noisy": 3,
        f"untrained/{short}/latent/probe": 4,
        f"{short}/latent/ari": 5,
        f"floor/{short}/mse_clean": 6,
        "val/loss": 7,
        f"{short}/sites/auroc_vacancy": 8,
    }
    assert with_current_names(old) == new
    assert with_current_names(new) == new
    assert split_of(new) == split
    assert networks_named(new) == ["noisy input", "PCA-10", "untrained"]


def test_the_kept_runs_of_an_earlier_version_have_all_their_numbers():
    path = ROOT / "docs" / "data" / "paper_published" / "paper_baseline_sc" / "metrics.json"
    numbers = json.loads(path.read_text(encoding="utf-8"))
    renamed = with_current_names(numbers)
    assert list(renamed.values()) == list(numbers.values())
    assert all(read_name(text) for text in renamed)
    assert "PCA-10/val/mse_noisy" in renamed


def test_of_errors_the_lowest_is_best_and_of_similarities_the_highest():
    highest = {name for name in METRICS if MEASURES[name].highest_is_best}
    assert highest == {"psnr_clean", "ssim_noisy", "ssim_clean", "ssim_paper"}
    assert not measure_of("val/loss").highest_is_best
    assert measure_of("PCA-10/test/psnr_clean").title == "PSNR clean (dB)"
    assert measure_of("test/sites/auroc_vacancy").highest_is_best
    own = {"sharpness": Measure("sharpness of the atoms", "1/nm", highest_is_best=True)}
    assert measure_of("val/sharpness", own).title == "sharpness of the atoms (1/nm)"
    assert measure_of("val/sharpness") == Measure("sharpness")
