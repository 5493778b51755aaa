"""More epochs for a finished run."""

import json

import pytest
import torch

from stm_experiments import train
from stm_experiments.recipes.train import optimized

CONSTANT = ("scheduler=constant", "model.fused=false")


def test_a_prolonged_run_ends_as_if_it_had_been_so_long(
    command, train_in, tiny, tmp_path, no_figures
):
    long, short = tmp_path / "long", tmp_path / "short"
    train_in(long, *CONSTANT, "trainer.max_epochs=4")
    train_in(short, *CONSTANT)
    before = json.loads((short / "metrics.json").read_text())
    code, printed, errors = command(train.main, f"resume={short}", "trainer.max_epochs=4")
    assert code == 0, errors
    assert json.loads((short / "metrics_2_epochs.json").read_text()) == before
    assert (short / "metrics.csv").read_text() == (long / "metrics.csv").read_text()
    assert json.loads((short / "metrics.json").read_text()) == json.loads(
        (long / "metrics.json").read_text()
    )
    paths = [run / "checkpoints" / "last.ckpt" for run in (long, short)]
    states = [torch.load(path, weights_only=True) for path in paths]
    for one, other in zip(*(state["state_dict"].values() for state in states), strict=True):
        assert torch.equal(one, other)
    code, printed, errors = command(train.main, f"resume={short}")
    assert code == 0, errors
    assert "was trained and assessed before" in printed
    code, _, errors = command(train.main, f"resume={short}", "trainer.max_epochs=3")
    assert code == 1
    assert "has 4 epochs: trainer.max_epochs can only be more, not 3" in errors


def test_a_schedule_that_ends_cannot_be_prolonged(command, train_in, tmp_path, no_figures):
    run = tmp_path / "run"
    train_in(run)
    code, _, errors = command(train.main, f"resume={run}", "trainer.max_epochs=5")
    assert code == 1
    assert "the schedule OneCycleLR ends with its last epoch; start a new run with init=" in errors
    assert (run / "metrics.json").is_file()
    (run / "metrics.json").unlink()
    code, _, errors = command(train.main, f"resume={run}", "trainer.max_epochs=5")
    assert code == 1
    assert "has not finished its 2 epochs: resume it without" in errors


@pytest.mark.parametrize(
    ("name", "expected"), [("val/loss", "val/loss"), ("test/mse_clean", "test/mse_clean")]
)
def test_a_run_returns_the_metric_that_is_optimised(train_in, tmp_path, no_figures, name, expected):
    value = train_in(tmp_path / "run", f"optimized_metric={name}")
    assert value == json.loads((tmp_path / "run" / "metrics.json").read_text())[expected]


def test_a_metric_that_no_run_has_is_named(command, tiny, tmp_path, no_figures):
    keys = ("optimized_metric=test/mse_nosy", f"hydra.run.dir={tmp_path / 'run'}")
    code, _, errors = command(train.main, *tiny, *keys)
    assert code == 1
    assert "optimized_metric=test/mse_nosy: no run has this number" in errors
    assert "did you mean 'test/mse_noisy'?" in errors
    assert not list((tmp_path / "run" / "checkpoints").iterdir()), "nothing was trained"
    with pytest.raises(ValueError, match="this run has none"):
        optimized({"test/latent/probe": 0.5}, "test/latent/prob")
