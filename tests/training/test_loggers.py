import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml
from lightning.pytorch.loggers import WandbLogger
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb_server import serving

from stm_experiments.benchmarks.kills.comparison import false_status, unfinished
from stm_experiments.benchmarks.kills.processes import start, wait, without_figures
from stm_experiments.core.files import read_csv
from stm_experiments.models import CAEA
from stm_experiments.training import Reconstruction
from stm_experiments.training.loggers import close_loggers
from stm_experiments.training.loggers.wandb_run import run_id

ROOT = Path(__file__).resolve().parents[2]

FIGURES = {"curves", "reconstructions", "latent", "network", "patches"}


def test_tensorboard_holds_curves_metrics_and_pictures(train_in, tmp_path):
    train_in(tmp_path, "logger=tensorboard")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    scalars, images = {}, set()
    for path in tmp_path.rglob("events.out.*"):
        events = EventAccumulator(str(path)).Reload()
        images |= set(events.Tags()["images"])
        for tag in events.Tags()["scalars"]:
            scalars.setdefault(tag, []).extend(event.value for event in events.Scalars(tag))
    assert images >= FIGURES
    assert len(scalars["train/loss"]) >= 2
    assert len(scalars["val/loss"]) == 3  # of two epochs, and the last one again at its own step
    assert {"lr", "epoch_seconds", "final/val/loss"} <= set(scalars)
    assert abs(scalars["test/mse_noisy"][-1] - metrics["test/mse_noisy"]) < 1e-6


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """W&B without an account of whoever runs the tests."""
    for name in ("WANDB_API_KEY", "WANDB_SWEEP_ID", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def told(run):
    """Return what the starts of a run told W&B, in their order: a list of records for each."""
    inspect = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json"]
    starts = []
    for file in sorted(run.glob("wandb/offline-run-*/*.wandb")):
        done = subprocess.run([*inspect, file], capture_output=True, text=True, check=True)
        starts.append([json.loads(line) for line in done.stdout.splitlines()])
    return starts


def of_kind(records, kind):
    return [record[kind] for record in records if record["type"] == kind]


def rows_of(records):
    """Return the rows of a run's charts by their number."""
    return {each["step"]["num"]: each["item"] for each in of_kind(records, "history")}


def test_wandb_holds_a_row_per_epoch_and_the_rest_in_tables(offline, train_in, tmp_path):
    run = tmp_path / "run"
    train_in(run, "logger=wandb", "model.fused=false")
    (start,) = told(run)
    metrics = json.loads((run / "metrics.json").read_text())
    epochs = {int(row["step"]): row for row in read_csv(run / "metrics.csv")}
    *rows, (end, final) = rows_of(start).items()
    # Lightning numbers steps from 0.
    assert [number + 1 for number, _ in rows] == list(epochs)
    for number, row in rows:
        for name in ("train/loss", "val/loss", "lr"):
            assert row[name] == pytest.approx(float(epochs[number + 1][name]))
    assert rows[-1][1]["val/best_loss"] == metrics["val/best_loss"]
    assert end == max(epochs)
    shown = {name.partition(".")[0] for name in final if not name.startswith("_")}
    media = {"latent_points", "reconstruction_table", "scores"}
    assert shown == {*FIGURES, *media, "trainer/global_step"}
    assert {name for name in rows[-1][1] if not name.startswith("_")} == {
        *("train/loss", "val/loss", "val/best_loss", "lr", "epoch", "trainer/global_step"),
        *("epoch_seconds", "patches_per_second"),
    }
    summary = {}
    for each in of_kind(start, "summary"):
        summary |= each.get("update", {})
    assert {name: summary[name] for name in metrics} == pytest.approx(metrics)
    assert summary["parameters"] == 6212
    (begun, *_) = of_kind(start, "run")
    assert begun["run_id"] == (run / "wandb_id.txt").read_text()
    config = begun["config"]["update"]
    assert {key: config[key] for key in ("lattice", "noise", "model", "seed")} == {
        "lattice": "fcc", "noise": "paper", "model": "cae_a", "seed": 0,
    }  # fmt: skip
    assert config["data_settings"]["images_per_epoch"] == 4
    models = [each for each in of_kind(start, "artifact") if each["type"] == "model"]
    assert [set(each["aliases"]) - {"latest"} for each in models] == [{"best"}, {"last"}]
    assert [each.get("exit_code") for each in of_kind(start, "exit")] == [0]


def test_an_interrupted_and_resumed_run_is_one_at_wandb(
    offline, no_figures, check_resume, train_in, tmp_path
):
    logged = (
        "trainer.log_every_n_steps=1",
        "logger.wandb.watch=gradients",
        "logger=wandb",
        "model.fused=false",
    )

    def train(folder):
        train_in(folder, *logged, "logger.wandb.log_model=false")

    check_resume(Reconstruction, 4, train)
    (whole,) = told(tmp_path / "whole")
    before, after = told(tmp_path / "ended")
    codes = [of_kind(start, "exit")[0].get("exit_code", 0) for start in (whole, before, after)]
    assert codes == [0, 1, 0]
    ids = {of_kind(start, "run")[0]["run_id"] for start in (before, after)}
    assert len(ids) == 1
    resumed = [number for number, row in rows_of(after).items() if "lr" in row]
    assert max(rows_of(before)) < min(resumed)
    rows = rows_of(before)
    for number, row in rows_of(after).items():
        rows[number] = rows.get(number, {}) | row
    expected = rows_of(whole)
    assert set(expected) - set(rows) <= {3}  # the step that was interrupted
    names = ("train/loss", "val/loss", "val/best_loss", "train/loss_step", "lr")
    for number, row in rows.items():
        for name in names:
            assert row.get(name) == expected[number].get(name), (number, name)
    gradients = {f"gradients/net.{name}._type" for name, _ in CAEA().named_parameters()}
    assert gradients <= set(rows[1])


def test_the_sweep_that_wandb_directs_is_a_command_that_composes(compose_config, monkeypatch):
    guide = (ROOT / "docs" / "wandb.md").read_text(encoding="utf-8")
    text = textwrap.dedent(re.search(r"`sweep.yaml`:\n\n(( {4}.*\n)+)", guide)[1])
    sweep = yaml.safe_load(text)
    assert (ROOT / sweep["program"]).is_file()
    assert sweep["metric"] == {"name": "val/loss", "goal": "minimize"}
    chosen = {
        key: each.get("values", [each.get("min")])[0] for key, each in sweep["parameters"].items()
    }
    texts = {"${args_no_hyphens}": [f"{key}={value}" for key, value in chosen.items()]}
    words = [word for each in sweep["command"] for word in texts.get(each, [each])]
    assert words[:3] == ["${env}", "python", "${program}"]
    config = compose_config(*words[3:])
    for key, value in chosen.items():
        assert OmegaConf.select(config, key) == value
    assert config.logger.wandb._target_.endswith("WandbRun")


def test_a_run_of_an_agent_has_the_id_that_the_agent_gave(tmp_path, monkeypatch):
    (tmp_path / "no_sweep").mkdir()
    monkeypatch.setenv("WANDB_RUN_ID", "agent123")
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    assert run_id(tmp_path / "no_sweep") != "agent123"
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    assert run_id(tmp_path) == "agent123"
    monkeypatch.setenv("WANDB_RUN_ID", "agent456")
    assert run_id(tmp_path) == "agent123"  # resumed


def test_a_resumed_run_is_one_at_wandb_and_the_users_own_words_win(
    train_in, tmp_path, monkeypatch, no_figures
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    begun = []

    class Begun(Exception):
        pass

    def init(**settings):
        begun.append(settings)
        raise Begun

    monkeypatch.setattr("wandb.init", init)
    own = ("logger.wandb.name=mine", "logger.wandb.group=g", "logger.wandb.tags=[good]")
    for _ in range(2):
        with pytest.raises(Begun):
            train_in(tmp_path / "run", "logger=wandb", *own)
    first, second = begun
    assert first["id"] == second["id"] == (tmp_path / "run" / "wandb_id.txt").read_text()
    assert first["resume"] == "allow"
    assert (first["name"], first["group"], first["tags"]) == ("mine", "g", ["good", "fcc", "CAEA"])
    config = first["config"]
    assert {key: config[key] for key in ("lattice", "noise", "model", "experiment", "seed")} == {
        "lattice": "fcc", "noise": "paper", "model": "cae_a", "experiment": None, "seed": 0,
    }  # fmt: skip
    assert config["model_settings"]["optimizer"]["lr"] == 0.005


@pytest.mark.parametrize("failed", [False, True])
def test_wandb_sees_how_a_run_ended(failed):
    ends = []

    class Experiment:
        def finish(self, exit_code):
            ends.append(exit_code)

    logger = WandbLogger(offline=True)
    logger._experiment = Experiment()
    close_loggers([logger], failed)
    assert ends == [int(failed)]


# Compiled steps would be compiled anew, for the tests have a home of their own.
LOGGED = ("logger=wandb", "logger.wandb.log_model=false", "model.fused=false")


def begin(run, *keys):
    """Start a run in a process of its own; return the process."""
    keys = [*keys, *LOGGED, f"hydra.run.dir={run}"]
    return start(keys, run.with_suffix(".txt"), without_figures)


def wait_until(is_so, run):
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, run.with_suffix(".txt").read_text()
        time.sleep(0.01)


def test_a_run_that_is_killed_while_wandb_uploads_is_completed_later(
    offline, train_in, tiny, tmp_path, monkeypatch, no_figures
):
    run = tmp_path / "run"
    with monkeypatch.context() as online, serving(online, hangs=True):
        process = begin(run, *tiny)
        wait_until((run / "metrics.json").is_file, run)
        os.kill(process, signal.SIGKILL)
    assert wait(process) == -signal.SIGKILL
    assert json.loads((run / "run.json").read_text())["status"] == "running"
    assert not false_status(run)
    train_in(run, *LOGGED)  # now without an account, and so offline
    assert unfinished(run, logs=True) == []


def test_a_killed_and_resumed_run_is_one_run_on_the_server(offline, tiny, tmp_path, monkeypatch):
    run, epochs = tmp_path / "run", 20
    table, keys = run / "metrics.csv", (*tiny, f"trainer.max_epochs={epochs}")
    with monkeypatch.context() as online, serving(online) as server:
        process = begin(run, *keys)
        wait_until(lambda: table.is_file() and len(read_csv(table)) > 1, run)
        os.kill(process, signal.SIGKILL)
        assert wait(process) == -signal.SIGKILL
        before = len(read_csv(table))
        assert before < epochs
        (record,) = server.runs.values()
        assert record.ends == []  # W&B shows such a run as crashed
        process = begin(run, *keys)
        assert wait(process) == 0, run.with_suffix(".txt").read_text()
        assert list(server.runs) == [(run / "wandb_id.txt").read_text()]
    assert record.ends == [0]
    losses = {int(row["step"]) - 1: float(row["val/loss"]) for row in read_csv(table)}
    logged = {step: row["val/loss"] for step, row in record.rows.items() if "val/loss" in row}
    assert set(list(losses)[before:]) <= set(logged)  # the client sends rows every 15 s
    for step, loss in logged.items():
        assert loss == pytest.approx(losses[step])
    metrics = json.loads((run / "metrics.json").read_text())
    assert {name: record.summary[name] for name in metrics} == pytest.approx(metrics)
