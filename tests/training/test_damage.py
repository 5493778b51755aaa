"""Damaged files of a run, and runs that ended between their metrics and their status."""

import json
import shutil

import pytest
import torch

from stm_experiments.app import completion
from stm_experiments.benchmarks.kills.comparison import differences
from stm_experiments.models import checkpoint
from stm_experiments.recipes import train as main_job


def about(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.fixture
def whole(train_in, tmp_path, no_figures):
    train_in(tmp_path / "whole")
    return tmp_path / "whole"


@pytest.fixture
def run(whole):
    """A copy of a run that is not assessed yet."""
    copy = whole.with_name("run")
    shutil.copytree(whole, copy)
    (copy / "metrics.json").unlink()
    return copy


def zero(path, begin=500, end=3000):
    content = bytearray(path.read_bytes())
    content[begin:end] = bytes(end - begin)
    path.write_bytes(content)


def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(whole, run, train_in, capsys):
    zero(run / "checkpoints" / "last.ckpt")
    train_in(run)
    assert differences(whole, run) == []
    printed = capsys.readouterr().out
    assert f"{run}/checkpoints/last.ckpt: not a readable checkpoint" in printed
    assert "trying previous.ckpt" in printed


def test_the_last_checkpoint_of_another_run_is_not_resumed(whole, run, train_in, capsys):
    path = run / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["net.more"] = torch.zeros(3)
    torch.save(content, path)
    train_in(run)
    assert differences(whole, run) == []
    assert "last.ckpt: holds another network than this run; trying" in capsys.readouterr().out


def test_without_a_checkpoint_training_begins_anew(whole, run, train_in, capsys):
    zero(run / "checkpoints" / "last.ckpt")
    content = torch.load(run / "checkpoints" / "previous.ckpt", weights_only=True)
    kept = {key: content[key] for key in ("state_dict", "card")}
    torch.save(kept, run / "checkpoints" / "previous.ckpt")
    train_in(run)
    assert differences(whole, run) == []
    printed = capsys.readouterr().out
    assert "holds no training that can be resumed; training begins anew" in printed


@pytest.mark.parametrize("damage", [zero, lambda path: path.unlink()])
def test_the_last_weights_replace_the_best_ones(run, train_in, capsys, damage):
    damage(run / "checkpoints" / "best.ckpt")
    train_in(run)
    assert about(run)["status"] == "finished"
    assert about(run)["replaced"] == "best.ckpt by last.ckpt, as it could not be read"
    assert "last.ckpt takes its place" in capsys.readouterr().out
    best, last = (checkpoint.load(run / "checkpoints" / f"{x}.ckpt") for x in ("best", "last"))
    assert best.card.scores == last.card.scores == json.loads((run / "metrics.json").read_text())
    assert all(torch.equal(best.state_dict()[key], x) for key, x in last.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_damaged_numbers_are_named_and_written_again(whole, train_in, capsys, content):
    shutil.copytree(whole, run := whole.with_name("run"))
    for name in ("metrics.json", "run.json"):
        (run / name).write_bytes(content)
    train_in(run)
    assert differences(whole, run) == []
    assert about(run)["status"] == "finished"
    printed = capsys.readouterr().out
    for name in ("metrics.json", "run.json"):
        assert printed.count(f"{run / name} is damaged") == 1


@pytest.mark.parametrize("status", ["running", "interrupted", "failed: W&B", None])
def test_the_status_of_a_run_with_metrics_is_mended(whole, train_in, status, monkeypatch):
    before = about(whole)
    (whole / "run.json").write_text(json.dumps({**before, "status": status}))
    monkeypatch.setattr(main_job, "run_once", lambda *_: pytest.fail("trained again"))
    train_in(whole)
    after = about(whole)
    assert after.pop("finished") >= before.pop("finished")
    assert after == before
    assert after["status"] == "finished"
    assert not (whole / ".lock").exists()


def test_a_logger_that_crashes_does_not_fail_a_run_and_is_repeated(
    whole, train_in, tmp_path, monkeypatch, capsys
):
    logged = []

    def crash(*_):
        raise ConnectionError("no route to host")

    run = tmp_path / "run"
    for name in ("log_results", "close_loggers"):
        with monkeypatch.context() as patch:
            patch.setattr(main_job, name, crash)
            patch.setattr(completion, name, crash)
            train_in(run, "logger=tensorboard")
        assert about(run)["status"] == "finished"
        assert "no route to host" in about(run)["unlogged"]
        printed = " ".join(capsys.readouterr().out.split())
        assert "the run is complete, but not logged" in printed
        assert f"resume={run} logs it again" in printed
    assert differences(whole, run) == []
    log = completion.log_results
    monkeypatch.setattr(completion, "log_results", lambda *x: (logged.append(x[1]), log(*x)))
    train_in(run, "logger=tensorboard")
    assert about(run)["unlogged"] is None
    train_in(run, "logger=tensorboard")
    assert logged == [json.loads((run / "metrics.json").read_text())]


def test_a_failing_logger_does_not_hide_why_a_run_failed(train_in, tmp_path, monkeypatch):
    def crash(*_):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(main_job, "close_loggers", crash)
    monkeypatch.setattr(main_job, "assess_network", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_in(tmp_path / "run")
    assert about(tmp_path / "run")["status"].startswith("failed: ")
