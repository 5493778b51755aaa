"""Whole training runs, tiny ones: what they leave, that they repeat, and that they survive."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import stm_experiments
from stm_experiments.app.launching import quote_path
from stm_experiments.training import Reconstruction

# Makes the second of two epochs the worse one, so that the best weights are not the last.
GETS_WORSE = (
    "model.scheduler=null",
    "model.optimizer.lr=0.1",
    "data.fresh=false",
    "data.augment=false",
)
METRICS = ("mse_noisy", "mse_clean", "psnr_clean", "ssim_noisy", "ssim_clean", "ssim_paper")


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def rows_of(folder):
    with (folder / "metrics.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def about(folder):
    return json.loads((folder / "run.json").read_text())


def checkpoint_of(folder, name):
    return folder / "checkpoints" / f"{name}.ckpt"


def weights(folder, name):
    return torch.load(checkpoint_of(folder, name), weights_only=True)["state_dict"]


def files(folder):
    """Content of every file, but for the log, which any attempt to start a run may open."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "train.log"
    }


def same_outcome(one, other):
    """What differs in the results of two runs."""
    differs = [
        name
        for name in ("metrics.csv", "metrics.json")
        if (one / name).read_bytes() != (other / name).read_bytes()
    ]
    for name in ("best", "last"):
        ours, theirs = weights(one, name), weights(other, name)
        differs += [f"{name} {key}" for key in ours if not torch.equal(ours[key], theirs[key])]
    return differs


def test_a_run_leaves_what_it_promises(train_in, tmp_path):
    value = train_in(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.yaml", "run.json", "metrics.json", "metrics.csv", "checkpoints", "figures",
        "three_patches.json", "latent.csv", "latent_patches.png", "circumstances.json",
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {
        "best.ckpt", "last.ckpt", "previous.ckpt",
    }  # fmt: skip
    figures = {path.stem: path for path in (tmp_path / "figures").iterdir()}
    assert {"curves", "reconstructions", "latent", "network", "patches"} <= set(figures)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in figures.values())

    text = (tmp_path / "config.yaml").read_text()
    assert "${" not in text
    saved = yaml.safe_load(text)
    assert saved["data"]["images_per_epoch"] == 4
    assert saved["data"]["seed"] == saved["seed"] == 0
    assert saved["data"]["lattices"] == saved["lattice"]
    assert list(saved["lattice"]) == ["fcc"]

    metrics = metrics_of(tmp_path)
    assert all(type(value) is float for value in metrics.values())
    assert {f"test/{name}" for name in METRICS} <= set(metrics)
    assert {f"PCA-4/test/{name}" for name in METRICS} <= set(metrics)
    assert metrics["noisy input/test/mse_noisy"] == 0
    assert value == metrics["val/loss"]  # the default of optimized_metric
    rows = rows_of(tmp_path)
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 3), (2, 6)]
    assert metrics["val/best_loss"] == min(row["val/loss"] for row in rows)

    done = about(tmp_path)
    assert done["status"] == "finished"
    assert done["patches_per_second"] == pytest.approx(2 * 4 * 16 / done["train_seconds"])
    assert {"python", "torch", "lightning", "numpy"} <= set(done["versions"])
    assert {"git_commit", "host", "device", "seconds", "overrides"} <= set(done)

    for name in ("best", "last"):
        net = stm_experiments.load(tmp_path / "checkpoints" / f"{name}.ckpt")
        assert net.card.scores == metrics
        assert net.card.config == saved
        assert net.card.lattice == ["fcc"]


def test_the_reported_error_is_that_of_the_best_weights(
    train_in, compose_config, tiny, tmp_path, no_figures
):
    from stm_experiments.app import build
    from stm_experiments.app.settings import resolve

    train_in(tmp_path, *GETS_WORSE)
    losses = [row["val/loss"] for row in rows_of(tmp_path)]
    assert losses[0] < losses[1]
    net = stm_experiments.load(tmp_path / "checkpoints" / "best.ckpt")
    data = build.build_data(resolve(compose_config(*tiny)), net.window)
    for split, key in (("test", "test/mse_noisy"), ("validation", "val/best_loss")):
        with torch.inference_mode():
            errors = [(net(b.noisy) - b.noisy).square().mean((1, 2, 3)) for b in data.loader(split)]
        assert torch.cat(errors).mean() == pytest.approx(metrics_of(tmp_path)[key], rel=1e-5)


def test_equal_seeds_give_equal_files(train_in, tmp_path, no_figures):
    for name, seed, workers in (("a", 0, 0), ("b", 0, 1), ("c", 1, 0)):
        train_in(tmp_path / name, f"seed={seed}", f"data.num_workers={workers}")
    assert same_outcome(tmp_path / "a", tmp_path / "b") == []
    different = same_outcome(tmp_path / "a", tmp_path / "c")
    assert {"metrics.csv", "metrics.json"} <= set(different)


def test_another_config_never_goes_into_a_run_folder(train_in, tmp_path, no_figures):
    train_in(tmp_path)
    before = files(tmp_path)
    with pytest.raises(FileExistsError, match="holds another run"):
        train_in(tmp_path, "seed=1")
    assert files(tmp_path) == before


def test_a_finished_run_is_not_touched_by_resuming_it(
    train_in, compose_config, tmp_path, no_figures
):
    from stm_experiments.recipes.train import train

    error = train_in(tmp_path)
    before = files(tmp_path)
    assert train(compose_config(f"resume='{tmp_path}'", output_dir=tmp_path)) == error
    assert train_in(tmp_path) == error
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        # 34 fresh images: a window of 32, a batch across its end, and another of 2.
        (("data.images_per_epoch=34", "data.patches_per_image=2", "data.batch_size=30"), "."),
        (GETS_WORSE, "last.ckpt"),
        # A learning rate of zero never improves: training stops after the second epoch of three.
        (
            ("patience=1", "model.optimizer.lr=0", "model.scheduler=null", "trainer.max_epochs=3"),
            "last.ckpt",
        ),
    ],
    ids=["fresh", "fixed", "early stopping"],
)
def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(
    train_in, tmp_path, no_figures, monkeypatch, source, kept
):
    """Goes on from every state in which a kill can leave the folder.

    Files only change by being moved into place, so a copy of the folder after each move is what
    SIGKILL leaves.
    """
    source = (*source, "checkpoint_minutes=0", "data.test_images=1")
    whole, copies, replace = tmp_path / "whole", [], os.replace

    def move_and_copy(part, path):
        replace(part, path)
        name = Path(path).name
        if name.endswith((".ckpt", ".csv", "config.yaml")) and re.search(kept, name):
            copies.append(tmp_path / f"{len(copies)} {name}")
            shutil.copytree(whole, copies[-1])

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", move_and_copy)
        train_in(whole, *source)
    assert len(rows_of(whole)) == 2
    # After every batch, after both epochs and at the end; there are three batches in an epoch.
    assert len([copy for copy in copies if copy.name.endswith(" last.ckpt")]) == 2 * 2 + 2 + 1

    steps, step = [], Reconstruction.training_step
    monkeypatch.setattr(
        Reconstruction, "training_step", lambda *args: steps.append(1) or step(*args)
    )
    for copy in copies:
        assert not (copy / "metrics.json").exists()
        newest = next((n for n in ("last", "previous") if checkpoint_of(copy, n).exists()), None)
        done = torch.load(checkpoint_of(copy, newest))["global_step"] if newest else 0
        steps.clear()
        train_in(copy, *source)
        assert len(steps) == 2 * 3 - done, copy.name
        assert same_outcome(copy, whole) == [], copy.name
        assert about(copy)["status"] == "finished"
        shutil.rmtree(copy)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(train_in, tmp_path, no_figures, capsys):
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    train_in(whole)
    shutil.copytree(whole, damaged)
    (damaged / "metrics.json").unlink()
    last = damaged / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    train_in(damaged)
    assert "last.ckpt: not a readable checkpoint" in capsys.readouterr().out
    assert same_outcome(damaged, whole) == []


def test_sigkill_and_resume_on_the_command_line(train_in, command, tiny, tmp_path, no_figures):
    from stm_experiments.train import main

    more = ("data.patches_per_image=128", "trainer.max_epochs=4", "checkpoint_minutes=0")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    train_in(whole, *more)

    process = subprocess.Popen(
        [*(sys.executable, "-m", "stm_experiments.train"), *tiny, *more, f"hydra.run.dir={killed}"],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    steps, last = 0, killed / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 600
    while steps < 30 and process.poll() is None and time.monotonic() < deadline:
        with suppress(FileNotFoundError):  # it may just be moved
            steps = torch.load(last, weights_only=True)["global_step"]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    assert 30 <= steps < 4 * 22
    assert not (killed / "metrics.json").exists()
    assert about(killed)["status"] == "running"

    odd = killed.rename(tmp_path / "Si(111) 7x7, a=b's ün")
    code, _, errors = command(main, f"resume={odd}")
    assert code == 0, errors
    assert same_outcome(odd, whole) == []
    assert about(odd)["status"] == "finished"
    assert {path.name for path in tmp_path.iterdir()} == {"whole", odd.name}


def test_pca_is_fitted_scored_and_kept(train_in, tmp_path):
    train_in(tmp_path, "model=pca", "model.net.components=4")
    metrics = metrics_of(tmp_path)
    assert metrics["test/mse_noisy"] == pytest.approx(metrics["PCA-4/test/mse_noisy"], rel=1e-6)
    net = stm_experiments.load(tmp_path / "checkpoints" / "best.ckpt")
    assert net.card.scores == metrics
    assert net.components.shape == (4, 17**2)
    assert about(tmp_path)["status"] == "finished"
    assert (tmp_path / "figures" / "reconstructions.png").exists()
    assert not (tmp_path / "figures" / "curves.png").exists()


def test_a_mixture_is_scored_by_lattice_too(train_in, tmp_path, no_figures):
    train_in(tmp_path, "lattice=[sc,fcc]", "data.test_images=4")
    metrics = metrics_of(tmp_path)
    for name in ("mse_noisy", "mse_clean", "ssim_paper"):
        halves = [metrics[f"test/{lattice}/{name}"] for lattice in ("sc", "fcc")]
        assert metrics[f"test/{name}"] == pytest.approx(sum(halves) / 2, rel=1e-6)
        assert halves[0] != halves[1]
    assert not any("bcc" in key for key in metrics)
    assert stm_experiments.load(tmp_path / "checkpoints" / "best.ckpt").card.lattice == [
        "sc",
        "fcc",
    ]


def test_images_without_test_split_report_validation_of_the_last_weights(
    compose_config, tmp_path, no_figures, capsys
):
    from stm_experiments.recipes.train import train

    root, folder = tmp_path / "STM, bilder=ü", tmp_path / "run"
    folder.mkdir()
    random = np.random.default_rng(0)
    for split, count in (("train", 3), ("train_clean", 2), ("validation", 2)):
        (root / split).mkdir(parents=True)
        for number in range(count):
            np.save(root / split / f"{number}.npy", random.normal(size=(40, 40)))
    train(
        compose_config(
            "data=images", quote_path(f"data.root={root}"), "lattice=sc", "trainer=cpu",
            "data.patches_per_image=16", "data.batch_size=24", "trainer.max_epochs=3",
            "baselines=[]",
            "model.scheduler=null", "model.optimizer.lr=0.05",
            output_dir=folder,
        )
    )  # fmt: skip
    metrics = metrics_of(folder)
    assert not any(key.startswith("test/") for key in metrics)
    assert metrics["val/mse_noisy"] == pytest.approx(metrics["val/loss"], rel=1e-5)
    assert "there are no test images" in " ".join(capsys.readouterr().out.split())
    assert yaml.safe_load((folder / "config.yaml").read_text())["data"]["root"] == str(root)


def test_a_failed_run_says_so_in_its_folder(train_in, tmp_path):
    with pytest.raises(Exception, match="17 px patch"):
        train_in(tmp_path, "data.size=10")
    assert about(tmp_path)["status"].startswith("failed: data.size=10 px is smaller than")
    assert not (tmp_path / "metrics.json").exists()


def test_a_sweep_finishes_its_good_jobs_and_fails(command, tiny, tmp_path, no_figures):
    from stm_experiments.train import main

    sweep = tmp_path / "sweep"
    rest = (key for key in tiny if not key.startswith("data.size"))
    choices = ("model=cae_a,pca", "lattice=fcc", "data.size=40,10", "hydra/launcher=basic")
    code, out, errors = command(main, "-m", *choices, *rest, f"hydra.sweep.dir={sweep}")
    assert code == 1
    assert "Traceback" not in errors
    folders = sorted(path for path in sweep.iterdir() if path.is_dir())
    assert [folder.name[0] for folder in folders] == ["0", "1", "2", "3"]
    good, bad = (folders[0], folders[2]), (folders[1], folders[3])
    for folder in folders:
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,120}", folder.name)
    for folder in good:
        assert about(folder)["status"] == "finished"
        assert metrics_of(folder)["test/mse_noisy"] > 0
        assert "size-40" in folder.name
    for folder in bad:
        number = folder.name[0]
        assert about(folder)["status"].startswith("failed: data.size=10 px is smaller")
        assert f"error: job {number}: data.size=10 px is smaller than the network's" in errors
        assert "Traceback" in (folder / "train.log").read_text()
    assert errors.count("error: ") == 2
    assert "Comparison of the jobs" in out
    table = out[out.rindex("Comparison of the jobs") :]
    for folder in good:
        assert f"{metrics_of(folder)['test/mse_noisy']:.5f}" in table
