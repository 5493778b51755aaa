import json
import subprocess
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

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
