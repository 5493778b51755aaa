"""Fixtures of the tests of training."""

import json
import os
import signal

import pytest
import torch

from stm_experiments.benchmarks.kills.comparison import differences


@pytest.fixture
def check_resume(tmp_path, monkeypatch):
    """Return a function: a run that SIGTERM ends and that is resumed is the whole run."""
    from stm_experiments.app.completion import Interrupted
    from stm_experiments.evaluation import assess

    def check(objective, call, train, steps_per_call=1):
        """Train in two folders by ``train(folder)``; return that of the uninterrupted run.

        SIGTERM comes in a call of ``training_step``, counted from 1.
        """
        whole, ended = tmp_path / "whole", tmp_path / "ended"
        train(whole)
        calls, plain = [], objective.training_step

        def end_at_the_call(*args):
            calls.append(1)
            if len(calls) == call:
                os.kill(os.getpid(), signal.SIGTERM)
            return plain(*args)

        with monkeypatch.context() as patch:
            patch.setattr(objective, "training_step", end_at_the_call)
            with pytest.raises(Interrupted, match=f"resume with: python train.py resume={ended}"):
                train(ended)
        last = torch.load(ended / "checkpoints" / "last.ckpt", weights_only=True)
        assert len(calls) == call
        assert last["global_step"] == call * steps_per_call
        assert json.loads((ended / "run.json").read_text())["status"] == "interrupted"
        with monkeypatch.context() as patch:  # pictures are not compared
            patch.setattr(assess, "save_figure", lambda *_: None)
            train(ended)
        assert differences(whole, ended) == []
        return whole

    return check
