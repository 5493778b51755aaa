"""A run goes on under the circumstances of its start, or says what has changed."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from stm_experiments.benchmarks.kills.comparison import differences as different_files
from stm_experiments.training.circumstances import HASHED_BYTES, describe, differences

CPU = {"trainer": {"accelerator": "cpu"}}


@pytest.fixture
def images(tmp_path):
    """A folder of image files."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 3), ("validation", 2), ("test", 2)):
        (tmp_path / "images" / split).mkdir(parents=True)
        for number in range(count):
            np.save(tmp_path / "images" / split / f"{number}.npy", draw.normal(size=(40, 40)))
    return tmp_path / "images"


@pytest.fixture
def interrupted(compose_config, images, tmp_path, no_figures, monkeypatch):
    """Return the folder of an interrupted run on image files, and one of the whole run."""
    from stm_experiments.recipes.train import train

    monkeypatch.chdir(tmp_path)
    keys = (
        *("data=images", "data.root=images", "lattice=sc", "data.patches_per_image=16"),
        *("data.batch_size=24", "trainer=cpu", "trainer.max_epochs=2", "baselines=[]"),
    )
    whole, run = tmp_path / "whole", tmp_path / "run"
    whole.mkdir()
    train(compose_config(*keys, output_dir=whole))
    shutil.copytree(whole, run)
    for name in ("metrics.json", "latent.csv"):
        (run / name).unlink()
    shutil.copy(run / "checkpoints" / "previous.ckpt", run / "checkpoints" / "last.ckpt")
    about = json.loads((run / "run.json").read_text()) | {"status": "interrupted"}
    (run / "run.json").write_text(json.dumps(about))
    return run, whole


def test_changes_are_named_and_need_a_word(interrupted, command, images, monkeypatch, tmp_path):
    """Also from another folder than that of the start."""
    from stm_experiments.train import main

    run, _ = interrupted
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    np.save(images / "train" / "new.npy", np.random.default_rng(9).normal(size=(40, 40)))
    np.save(images / "test" / "1.npy", np.random.default_rng(9).normal(size=(40, 40)))
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["root"] == str(images)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        code, _, errors = command(main, f"resume={run}")
        assert code == 1
        assert errors.count("\n") == 1
        assert errors.startswith(f"error: {run} would end differently, for its circumstances have")
        for change in (
            f"threads was {threads} and is {threads + 1}",
            "the data file train/new.npy is new",
            "the data file test/1.npy has changed",
        ):
            assert change in errors
        assert "resume_anyway=true" in errors
        code, out, _ = command(main, f"resume={run}", "resume_anyway=true")
    finally:
        torch.set_num_threads(threads)
    assert code == 0
    assert "goes on under other circumstances" in " ".join(out.split())
    about = json.loads((run / "run.json").read_text())
    assert about["status"] == "finished"
    assert "the data file train/new.npy is new" in about["resumed_anyway"]
    assert "resume_anyway" not in (run / "config.yaml").read_text()


def test_the_same_circumstances_end_the_same(interrupted, command):
    """The name of the machine and the times of files do not matter."""
    from stm_experiments.train import main

    run, whole = interrupted
    for path in (run.parent / "images").rglob("*.npy"):
        path.touch()
    code, out, _ = command(main, f"resume={run}")
    assert code == 0, out
    assert different_files(whole, run) == []
    assert "resumed_anyway" not in json.loads((run / "run.json").read_text())
    # A finished run is not compared: it prints what it has.
    shutil.rmtree(run.parent / "images")
    code, out, _ = command(main, f"resume={run}")
    assert code == 0
    number = json.loads((run / "metrics.json").read_text())["test/mse_noisy"]
    assert f"{run} was trained and assessed before" in out.replace("\n", "")
    assert f"{number:.5f}" in out
    assert "CAE-A" in out


def test_an_edited_config_is_named(interrupted, command):
    from stm_experiments.train import main

    run, _ = interrupted
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["trainer"]["max_epochs"] = 3
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    code, _, errors = command(main, f"resume={run}")
    assert code == 1
    assert "config.trainer.max_epochs was 2 and is 3" in errors
    (run / "circumstances.json").write_text("[")
    code, _, errors = command(main, f"resume={run}")
    assert code == 1
    assert f"{run}/circumstances.json is damaged" in errors


def test_what_is_material(tmp_path, monkeypatch):
    large = tmp_path / "large.npy"
    with large.open("wb") as file:
        file.truncate(4 * HASHED_BYTES)
    then = json.loads(json.dumps(describe(CPU, [large])))
    assert differences(then, describe(CPU, [large])) == []
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "another")
        patch.setattr("importlib.metadata.version", lambda name: "0.0")
        changes = differences(then, describe(CPU, [large]))
    assert [change.split()[0] for change in changes] == [
        "versions.stm_experiments", "versions.torch", "versions.numpy", "versions.lightning",
    ]  # fmt: skip
    for place in (0, HASHED_BYTES - 1, 4 * HASHED_BYTES - 1):
        with large.open("r+b") as file:
            file.seek(place)
            file.write(b"\x01")
        now = describe(CPU, [large])
        assert differences(then, now) == ["the data file large.npy has changed"]
        then = now
    assert differences(then, describe(CPU, [])) == ["the data file large.npy is gone"]
