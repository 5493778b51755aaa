"""Fixtures of the tests of training."""

import json
import os
import signal

import pytest
import torch

from stm_experiments.benchmarks.kills.comparison import differences


@pytest.fixture
def check_resume(tmp_path, monkeypatch):
    """Return a function: a run that SIGTERM ends at a step and that is resumed is the whole run."""
    from stm_experiments.app.completion import Interrupted

    def check(objective, step, train):
        """Train in two folders by ``train(folder)``; return that of the uninterrupted run."""
        whole, ended = tmp_path / "whole", tmp_path / "ended"
        train(whole)
        steps, plain = [], objective.training_step

        def end_at_the_step(*args):
            steps.append(1)
            if len(steps) == step:
                os.kill(os.getpid(), signal.SIGTERM)
            return plain(*args)

        with monkeypatch.context() as patch:
            patch.setattr(objective, "training_step", end_at_the_step)
            with pytest.raises(Interrupted, match=f"resume with: python train.py resume={ended}"):
                train(ended)
        last = torch.load(ended / "checkpoints" / "last.ckpt", weights_only=True)
        assert last["global_step"] == len(steps) == step
        assert json.loads((ended / "run.json").read_text())["status"] == "interrupted"
        train(ended)
        assert differences(whole, ended) == []
        return whole

    return check
