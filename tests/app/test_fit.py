"""Callbacks, loggers, schedules and keys of the trainer: they do what their names say."""

import csv
from math import isclose

import pytest

from stm_experiments import train
from stm_experiments.app import fit
from stm_experiments.app.settings import new_config


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def run(train_in, tmp_path, no_figures):
    """Return a function: a tiny run with overrides; its folder."""

    def trained(name, *overrides):
        train_in(tmp_path / name, *overrides)
        return tmp_path / name

    return trained


def test_three_loggers_and_several_callbacks(run, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = run(
        "run",
        "logger=[csv,tensorboard,wandb]",
        "callbacks=[lr_monitor,grad_norm,early_stopping]",
        "trainer.log_every_n_steps=2",
        "trainer.profiler=simple",
    )
    steps = rows(folder / "steps.csv")
    logged = [row for row in steps if row["train/loss_step"]]
    assert [int(row["step"]) for row in logged] == [1, 3, 5]  # the last of each two steps
    assert all(float(row["train/grad_norm_step"]) > 0 for row in logged)
    for row, epoch in zip(rows(folder / "metrics.csv"), (1, 2), strict=True):
        assert int(row["epoch"]) == epoch
        assert float(row["train/grad_norm"]) > 0
    assert list(folder.rglob("events.out.tfevents*"))
    assert list(folder.rglob("*.wandb"))
    assert "run_training_epoch" in (folder / "fit-profile.txt").read_text()


def test_a_run_without_loggers_logs_nothing(run):
    folder = run("run", "logger=none", "trainer.log_every_n_steps=1")
    assert not (folder / "steps.csv").exists()
    assert len(rows(folder / "metrics.csv")) == 2


def test_gathered_batches_change_neither_the_logged_loss_nor_the_end_of_the_schedule(run):
    still = ("model.optimizer.lr=1e-9", "model.fused=false")
    plain = rows(run("plain", *still) / "metrics.csv")
    gathered = rows(run("gathered", *still, "trainer.accumulate_grad_batches=2") / "metrics.csv")
    for one, other in zip(plain, gathered, strict=True):
        assert isclose(float(one["train/loss"]), float(other["train/loss"]), rel_tol=1e-5)
    assert [int(row["step"]) for row in gathered] == [2, 4]  # of three batches each
    assert float(gathered[-1]["lr"]) < 0.9 * float(gathered[0]["lr"])
    # OneCycleLR ends at 4e-6 of its largest rate, and the last step is one before its end.
    for limit in ("+trainer.limit_train_batches=4", "+trainer.max_steps=8"):
        small = ("data.batch_size=8", "model.optimizer.lr=0.01", limit)
        last = rows(run(limit, *small) / "metrics.csv")[-1]
        assert (int(last["step"]), float(last["lr"]) < 0.0015) == (8, True)


@pytest.mark.parametrize(
    "overrides",
    [
        ("scheduler=plateau", "scheduler.patience=0", "+scheduler.threshold=10"),
        ("scheduler=warm_restarts", "scheduler.T_0=1"),
        ("scheduler=cosine",),
        ("scheduler=constant", "model.optimizer._target_=torch.optim.LBFGS"),
    ],
    ids=" ".join,
)
def test_schedules_and_optimisers_of_pytorch(run, overrides):
    folder = run("run", *overrides, "trainer.max_epochs=3", "model.optimizer.lr=0.001")
    rates = [float(row["lr"]) for row in rows(folder / "metrics.csv")]
    if "plateau" in overrides[0]:
        assert rates == pytest.approx([1e-3, 1e-4, 1e-5])  # no later value is better by so much
    elif "cosine" in overrides[0]:
        assert rates[0] > rates[1] > rates[2] > 0
    else:
        assert rates == pytest.approx([1e-3] * 3)


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["+trainer.callbacks=[x]"], "trainer.callbacks is not allowed"),
        (["+logger.tags=[mine]"], "logger.tags has no effect: a setting belongs to one"),
        (["logger=wandb", "+logger.tags=[mine]"], "belongs to one: logger.wandb.tags"),
        (["+callbacks.patience=3"], "callbacks.patience has no effect"),
        (["callbacks=[grad_norm,none]"], "none has no effect beside others: write callbacks=[grad"),
        (["logger=[none,csv]"], "none has no effect beside others: write logger=[csv]"),
        (["+pacience=3"], "pacience has no effect: it is no key of this command; did you mean pat"),
        (["scheduler=cosine", "model.scheduler.pct_start=.2"], "has no effect beside scheduler="),
        (["callbacks=device_stats"], "DeviceStatsMonitor logs steps: set how often"),
        (["patience=3", "callbacks=early_stopping"], "both follow val/loss: leave out one"),
        (["trainer.profiler=fast"], "trainer.profiler is simple, advanced, pytorch, or null"),
        (["trainer.log_every_n_steps=0"], "trainer.log_every_n_steps is at least 1"),
        (["model=pca", "callbacks=grad_norm"], "is fitted and not trained"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_key_without_effect_is_refused(command, tiny, tmp_path, overrides, part):
    code, _, errors = command(train.main, *tiny, *overrides, f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 1
    assert part in errors


def test_a_key_to_which_another_refers_is_read(compose_config):
    config = new_config(compose_config("+rate=0.1", "model.optimizer.lr=${rate}"))
    assert config["model"]["optimizer"]["lr"] == 0.1


def test_without_a_choice_there_is_no_logger_and_no_callback(compose_config, tmp_path):
    config = new_config(compose_config())
    assert fit.build_loggers(config, tmp_path, {"sweep": None, "experiment": None}) == []
    assert fit.build_callbacks(config) == []
