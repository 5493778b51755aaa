"""The sweeper that asks Optuna; it needs the extra ``sweeps``."""

import csv
import json

import pytest

from stm_experiments import train

MAXIMIZE = "hydra.sweeper.direction=maximize"


@pytest.fixture
def optuna():
    return pytest.importorskip("optuna", reason="needs the extra 'sweeps'")


def sweep(command, tiny, folder, *more):
    keys = ("hydra/sweeper=optuna", f"hydra.sweep.dir={folder}", "trainer.max_epochs=1")
    rest = [key for key in tiny if not key.startswith("trainer.max_epochs")]
    return command(train.main, "-m", *rest, *keys, *more)


def test_a_study_goes_on_after_a_failed_trial_and_when_it_is_started_again(
    optuna, command, tiny, tmp_path, no_figures, monkeypatch
):
    from stm_experiments.recipes import train as recipe

    run_once = recipe.run_once

    def fail_once(settings, run):
        if run.path.name.startswith("1_"):
            raise RuntimeError("training diverged")
        return run_once(settings, run)

    monkeypatch.setattr(recipe, "run_once", fail_once)
    folder = tmp_path / "sweep"
    lr = "model.optimizer.lr=tag(log,interval(1e-4,1e-1))"
    code, _, errors = sweep(command, tiny, folder, lr, "hydra.sweeper.n_trials=3")
    assert code == 0, errors
    code, _, errors = sweep(command, tiny, folder, lr, "hydra.sweeper.n_trials=4")
    assert code == 0, errors
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{folder}/optuna.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", *["COMPLETE"] * 2]
    for trial in study.trials:
        (run,) = folder.glob(f"{trial.number}_*")
        if trial.value is not None:
            assert trial.value == json.loads((run / "metrics.json").read_text())["val/loss"]
    with (folder / "trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4


def test_a_trial_that_is_worse_than_others_ends_early(optuna, command, tiny, tmp_path, no_figures):
    folder = tmp_path / "sweep"
    code, _, errors = sweep(
        command, tiny, folder, "trainer.max_epochs=4", "hydra.sweeper.n_trials=7",
        "hydra.sweeper.pruner=median", "model.optimizer.lr=0.01", "seed=range(0,9)",
    )  # fmt: skip
    assert code == 0, errors
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{folder}/optuna.db")
    states = {trial.state.name for trial in study.trials}
    assert "PRUNED" in states
    assert "COMPLETE" in states
    for trial in study.trials:
        (run,) = folder.glob(f"{trial.number}_*")
        stopped = json.loads((run / "run.json").read_text())["stopped"] or ""
        assert stopped.startswith("its study ended it") == (trial.state.name == "PRUNED")


def test_jobs_run_side_by_side_and_the_highest_similarity_is_the_best(
    optuna, command, tiny, tmp_path, monkeypatch
):
    folder = tmp_path / "sweep"
    monkeypatch.setattr("stm_experiments.app.launching.cpu_cores", lambda: 2)
    code, printed, errors = sweep(
        command, tiny, folder, "hydra/launcher=local_gpus", "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.n_trials=2", "model=pca", "optimized_metric=test/ssim_noisy",
        "model.net.components=2,8",
    )  # fmt: skip
    assert code == 0, errors
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{folder}/optuna.db")
    values = {}
    for trial in study.trials:
        (run,) = folder.glob(f"{trial.number}_*")
        values[trial.number] = json.loads((run / "metrics.json").read_text())["test/ssim_noisy"]
    assert {trial.number: trial.value for trial in study.trials} == values
    assert study.best_value == max(values.values())
    assert "2 jobs, 2 at a time" in printed + errors


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["seed=0"], "needs keys to choose"),
        (["seed=0,1", "hydra.sweeper.sampler=best"], "hydra.sweeper.sampler is one of tpe, random"),
        (
            ["seed=0,1", "hydra.sweeper.pruner=median", "hydra.sweeper.direction=maximize"],
            "follows",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_study_without_sense_is_refused(optuna, command, tiny, tmp_path, keys, message):
    code, _, errors = sweep(command, tiny, tmp_path / "sweep", *keys)
    assert code == 1
    assert message in errors


def test_without_optuna_the_extra_is_named(command, tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    code, _, errors = sweep(command, tiny, tmp_path / "sweep", "seed=0,1")
    assert code == 1
    assert "pip install 'stm_experiments[sweeps]'" in errors
