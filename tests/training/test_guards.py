import json
import os
import signal
import time
from functools import partial

import numpy as np
import pytest

from stm_experiments.benchmarks.kills.processes import start, wait
from stm_experiments.core.files import FolderTaken
from stm_experiments.evaluate import main as evaluate
from stm_experiments.models import CAEA
from stm_experiments.models.checkpoint import Card, save
from stm_experiments.simulate import main as simulate
from stm_experiments.training.run_folder import RunFolder

TINY = ("data.size=64", "data.validation_images=2", "data.test_images=2", "baselines=[4]")


def test_no_command_writes_over_results(command, tmp_path):
    save(CAEA(), Card("CAEA", {"latent": 10}, 17, lattice=["fcc"]), tmp_path / "a.ckpt")
    here = f"hydra.run.dir={tmp_path}/run"
    small = ("data.size=48", "data.test_images=2", "data.images_per_epoch=2", "baselines=[]")
    for main, arguments in (
        (simulate, ("lattice=sc", "size=48", here)),
        (evaluate, (f"checkpoint={tmp_path}/a.ckpt", here, *small)),
    ):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / "metrics.json").write_text("of another run")
        code, _, errors = command(main, *arguments)
        assert code == 1
        assert "holds results already" in errors
        assert (tmp_path / "run" / "metrics.json").read_text() == "of another run"
        assert not list(tmp_path.rglob("topographs.png"))


def test_a_run_that_failed_before_it_had_anything_does_not_block_its_folder(
    train_in, tmp_path, command, no_figures
):
    from stm_experiments.train import main

    code, _, errors = command(main, *TINY, "baselines=[0]", f"hydra.run.dir={tmp_path}")
    assert code == 1
    assert "baselines" in errors
    assert (tmp_path / "config.yaml").is_file()
    train_in(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("status", ["running", "interrupted", "failed: no"])
def test_a_run_that_was_ended_before_its_first_checkpoint_keeps_its_folder(tmp_path, status):
    RunFolder(tmp_path, {"seed": 1}, {}).finish(status)
    if status.startswith("failed"):
        RunFolder(tmp_path, {"seed": 2}, {})
        return
    assert not RunFolder(tmp_path, {"seed": 1}, {}).is_resumed
    with pytest.raises(FolderTaken, match="holds another run: choose another folder"):
        RunFolder(tmp_path, {"seed": 2}, {})
    assert "seed: 1" in (tmp_path / "config.yaml").read_text()


def test_ctrl_c_says_how_to_go_on(tmp_path):
    run, said = tmp_path / "run", tmp_path / "said.txt"
    arguments = [*TINY, "trainer.max_epochs=500", "data.images_per_epoch=8", f"hydra.run.dir={run}"]
    # Jobs in the background of a shell start with Ctrl-C ignored, and so would their children.
    listen = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    process, began = start(arguments, said, listen), time.monotonic()
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert time.monotonic() - began < 60, said.read_text()
        time.sleep(0.1)
    os.kill(process, signal.SIGINT)
    assert wait(process) == 130
    text = said.read_text()
    assert f"interrupted; resume with: python train.py resume={run}" in text
    assert "Traceback" not in text
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"


def test_hidden_files_are_not_images(tmp_path):
    from stm_experiments.data.sources.images import list_files

    for folder in ("train", "validation"):
        (tmp_path / folder).mkdir()
        for name in ("a.npy", "._a.npy"):
            np.save(tmp_path / folder / name, np.eye(20))
    assert [file.noisy.name for file in list_files(tmp_path, ["sc"], "train")] == ["a.npy"]
