import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from lightning.pytorch.loggers import WandbLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stm_experiments.benchmarks.kills.comparison import false_status, unfinished
from stm_experiments.benchmarks.kills.processes import start, wait, without_figures
from stm_experiments.training.loggers import close_loggers

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


def test_wandb_works_offline_and_holds_everything(train_in, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # no account of whoever runs the tests
    train_in(tmp_path / "run", "logger=wandb")
    (file,) = (tmp_path / "run").rglob("*.wandb")
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", file]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name in (*FIGURES, "latent_points", "reconstruction_table", "train/loss", "val/loss"):
        assert name in printed, name
    assert str(metrics["test/mse_noisy"])[:8] in printed
    assert "images_per_epoch" in printed  # the config
    for tag in ("fcc", "CAEA", "train"):
        assert tag in printed
    for name in ("epoch_seconds", "patches_per_second", "model-", "scores", "paper", "cae_a"):
        assert name in printed, name


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


PROJECT = {"id": "1", "name": "p", "entity": {"id": "1", "name": "e"}}
ANSWERS = {
    "viewer": {"id": "1", "username": "u", "entity": "e", "flags": "{}", "teams": {"edges": []}},
    "serverInfo": {"cliVersionInfo": {"max_cli_version": "9.0.0"}, "features": []},
    "upsertBucket": {
        "inserted": True,
        "bucket": {"id": "1", "name": "r", "displayName": "d", "config": "{}", "project": PROJECT},
    },
    "createRunFiles": {"runID": "1", "uploadHeaders": [], "files": []},
    "project": PROJECT,
}


class HangingServer(http.server.BaseHTTPRequestHandler):
    """A stand-in for W&B that lets a run begin and never takes what it uploads."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/graphql":
            time.sleep(600)
        answer = json.dumps({"data": ANSWERS}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def hanging_server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), HangingServer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_run_that_is_killed_while_wandb_uploads_is_completed_later(
    hanging_server, train_in, tiny, tmp_path, monkeypatch, no_figures
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_SERVICE", raising=False)  # not that of the tests before: it is alive
    monkeypatch.setenv("WANDB_BASE_URL", hanging_server)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    run = tmp_path / "run"
    process = start(
        [*tiny, "logger=wandb", f"hydra.run.dir={run}"], tmp_path / "out.txt", without_figures
    )
    deadline = time.monotonic() + 120
    while not (run / "metrics.json").is_file():
        assert time.monotonic() < deadline, (tmp_path / "out.txt").read_text()
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    assert wait(process) == -signal.SIGKILL
    assert json.loads((run / "run.json").read_text())["status"] == "running"
    assert not false_status(run)
    monkeypatch.delenv("WANDB_API_KEY")  # now without an account, and so offline
    monkeypatch.delenv("WANDB_BASE_URL")
    train_in(run, "logger=wandb")
    assert unfinished(run, logs=True) == []
