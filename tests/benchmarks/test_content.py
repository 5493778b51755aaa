"""The tables of benchmarks.codes.content, from runs that are made up."""

import json
from pathlib import Path

import pytest
import torch

from stm_experiments.benchmarks.codes import content
from stm_experiments.models import MLP


def test_every_weight_has_a_row_and_finished_runs_stay(monkeypatch, tmp_path):
    commands = []

    def pretend(module, *overrides):
        commands.append(overrides)
        folder = Path(overrides[-1].partition("=")[2])
        folder.mkdir(parents=True)
        numbers = {"test/mse_clean": 0.0123, "test/latent/probe": 0.4}
        if "two_decoders" in folder.name:
            numbers |= {"test/content/probe": 0.9, "guess/test/pose/shift_px": 3.5}
        (folder / "metrics.json").write_text(json.dumps(numbers))

    monkeypatch.setattr(content, "run_command", pretend)
    folders = content.train(tmp_path, 0.5, 3)
    assert list(folders) == [*(f"two_decoders {w:g}" for w in content.WEIGHTS), "mlp", "beta_vae"]
    assert content.DEFAULT in folders
    assert all("scale=0.5" in command and "seed=3" in command for command in commands)
    table = content.error_table(folders)
    columns = {column.header: list(column.cells) for column in table.columns}
    assert columns["mse_clean x 1000"][:7] == ["12.3"] * 7
    assert columns["probe of the content"] == ["0.9"] * 5 + [""] * 5
    assert columns["shift, px"][-1] == "3.5"
    commands.clear()
    content.train(tmp_path, 0.5, 3)
    assert commands == []


def test_factors_are_those_that_the_simulator_varies(monkeypatch):
    monkeypatch.setattr(content, "IMAGES", 60)
    monkeypatch.setattr(content, "PATCHES", 4)
    batch = content.held_out_patches(0)
    assert batch.noisy.shape == (240, 1, 17, 17)

    class Knows(MLP):
        def encode(self, patches):
            phase = content.patch_phases(batch)[0][:, :1]
            tilt = batch.orientation[:, 1:2] * 45
            return torch.cat([batch.lattice[:, None], tilt, phase.cos(), phase.sin()], 1).float()

    gaps, r2 = content.gaps_and_r2(Knows(), batch)
    assert set(gaps) == {
        *("lattice", "azimuth", "tilt", "rotation", "phase 1", "phase 2", "phase 3"),
    }
    assert gaps["lattice"] > 0.4  # of 60 images only: a tilt tells the image, and so the lattice
    assert r2["phase 1"] == pytest.approx(1, abs=0.01)
    assert r2["phase 3"] < 0.3
    assert "in_plane" in r2
