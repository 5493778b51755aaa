"""Interrupted runs: kills, signals, full disks and time limits leave a run that goes on."""

import json
import re
import resource
import shutil
import signal
import subprocess
import sys

import pytest
import torch
import yaml

from stm_experiments.benchmarks.kills.comparison import differences
from stm_experiments.training.callbacks import CheckpointWriter


def about(folder):
    return json.loads((folder / "run.json").read_text())


def test_real_kills_change_nothing(command, tmp_path):
    """A small part of the benchmark: one of its kinds of run, and few kills."""
    from stm_experiments.benchmarks.kills.__main__ import main

    few = ("--kinds", "several_steps", "--kills", "2", "--folder", tmp_path)
    code, said, errors = command(main, *few)
    assert code == 0, said + errors
    assert "2 kills in" in said
    assert ": 0 ended differently" in said
    assert not list(tmp_path.iterdir())


def test_sigterm_saves_within_the_epoch(train_in, check_resume, no_figures):
    from stm_experiments.training import Reconstruction

    whole = check_resume(Reconstruction, 2, train_in)
    assert about(whole)["status"] == about(whole.with_name("ended"))["status"] == "finished"


def test_a_full_disk_is_named_and_leaves_the_last_good_state(
    train_in, tmp_path, no_figures, monkeypatch
):
    whole, full = tmp_path / "whole", tmp_path / "full"
    train_in(whole)
    save, limits = CheckpointWriter.save_last, resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill_the_disk_after(self, *arguments):
        save(self, *arguments)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))

    try:
        with monkeypatch.context() as patch:
            patch.setattr(CheckpointWriter, "save_last", fill_the_disk_after)
            with pytest.raises(OSError, match="File too large") as info:
                train_in(full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert info.value.filename.startswith(str(full / "checkpoints"))
    assert "cannot be read or written: file too large" in about(full)["status"]
    assert not list(full.rglob("*.part"))
    last = torch.load(full / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 3
    train_in(full)
    assert differences(whole, full) == []


def test_a_folder_that_cannot_be_written_is_named(command, tiny, tmp_path):
    from stm_experiments.train import main

    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "run", "/proc/run"):
        code, _, errors = command(main, *tiny, f"hydra.run.dir={folder}")
        assert code == 1
        assert re.search(rf"error: .*{folder} cannot be read or written", errors)
        assert "Traceback" not in errors


def test_max_time_ends_a_finished_run_and_says_so(train_in, tmp_path, no_figures, capsys):
    error = train_in(tmp_path, "trainer.max_epochs=100000", "trainer.max_time=00:00:00:01")
    done = about(tmp_path)
    assert done["status"] == "finished"
    assert re.fullmatch(r"trainer.max_time ended it after epoch \d+ of 100000, step \d+",
                        done["stopped"])  # fmt: skip
    assert f"training stopped: {done['stopped']}" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "metrics.json").read_text())["val/loss"] == error


def test_a_whole_run_was_not_stopped(train_in, tmp_path, no_figures):
    train_in(tmp_path)
    assert about(tmp_path)["stopped"] is None


def test_a_wrong_max_time_is_one_sentence(command, tiny, tmp_path):
    from stm_experiments.train import main

    code, _, errors = command(main, *tiny, "trainer.max_time=soon", f"hydra.run.dir={tmp_path}/a")
    assert code == 1
    assert errors.count("\n") == 1
    assert "Expected a string in the format DD:HH:MM:SS" in errors


HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "a+")
fcntl.lockf(lock, fcntl.LOCK_EX)
lock.write("process 7 on login1")
lock.flush()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_that_is_under_way_is_left_alone(command, tiny, train_in, tmp_path, no_figures):
    """A second start waits for nothing and touches nothing, until the first process is gone."""
    from stm_experiments.train import main

    whole, run = tmp_path / "whole", tmp_path / "run"
    train_in(whole)
    run.mkdir()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    holder = subprocess.Popen([sys.executable, "-c", HOLD, run / ".lock"], **pipes)
    try:
        assert holder.stdout.readline() == b"held\n"
        code, _, errors = command(main, *tiny, f"hydra.run.dir={run}")
        assert code == 1
        assert f"{run} is in use by a run that is still under way (process 7 on login1)" in errors
        assert {path.name for path in run.iterdir()} == {".lock", "train.log"}
    finally:
        holder.kill()
        holder.communicate()
    train_in(run)
    assert differences(whole, run) == []
    assert not (run / ".lock").exists()


def test_a_doctored_run_folder_is_not_resumed(command, train_in, tmp_path, monkeypatch):
    from stm_experiments.train import main

    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    with pytest.raises(ValueError, match="baselines"):
        train_in(run, "baselines=[0]")
    text = (run / "config.yaml").read_text()
    for key in ("model.net", "model.optimizer", "data", "trainer", "logger"):
        config = yaml.safe_load(text)
        group, _, part = key.partition(".")
        where = config[group][part] if part else config[group]
        where |= {"_target_": "os.system", "command": "touch trace"}
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        code, _, errors = command(main, f"resume={run}")
        assert code == 1
        assert f"{key}._target_='os.system' is not allowed" in errors
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_a_checkpoint_of_a_stranger_builds_nothing(train_in, tmp_path, no_figures, monkeypatch):
    """What is written in a model file's config is data: it is neither built nor looked up."""
    import stm_experiments

    monkeypatch.chdir(tmp_path)
    train_in(tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    attack = {"_target_": "os.system", "command": "touch trace"}
    content["card"]["config"]["model"] = {**attack, "net": attack}
    torch.save(content, tmp_path / "stranger.ckpt")
    stm_experiments.load(tmp_path / "stranger.ckpt")
    train_in(tmp_path / "from", f"init={tmp_path}/stranger.ckpt")
    # As the run's own last checkpoint, too.
    shutil.copy(tmp_path / "stranger.ckpt", path)
    (tmp_path / "run" / "metrics.json").unlink()
    train_in(tmp_path / "run")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("logger", ["csv", "tensorboard", "wandb"])
def test_no_secret_of_the_environment_is_saved(train_in, tmp_path, no_figures, monkeypatch, logger):
    secret = "0123456789abcdef" * 2 + "deadbeef"
    for name in ("WANDB_API_KEY", "MY_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("WANDB_SILENT", "true")
    offline = ["logger.wandb.offline=true"] if logger == "wandb" else []
    train_in(tmp_path, f"logger={logger}", *offline)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
