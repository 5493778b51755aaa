import pytest
import torch

from stm_experiments import load
from stm_experiments.models import CAEA, CAEB, checkpoint
from stm_experiments.models.checkpoint import Card, CheckpointError


def test_a_run_starts_from_the_weights_of_another(train_in, tmp_path, no_figures):
    first, second = tmp_path / "first", tmp_path / "second"
    train_in(first)
    init = f"init={first}/checkpoints/best.ckpt"
    train_in(second, init, "model.optimizer.lr=1e-12", "lattice=sc")
    before, after = (load(run / "checkpoints" / "last.ckpt") for run in (first, second))
    start = load(first / "checkpoints" / "best.ckpt")
    assert after.card.lattice == ["sc"]
    for key, value in start.state_dict().items():
        torch.testing.assert_close(after.state_dict()[key], value, atol=1e-8, rtol=0)
    assert before.card.lattice == ["fcc"]


def test_another_network_is_refused(tmp_path):
    checkpoint.save(CAEA(4), Card("CAEA", {"latent": 4}, 17), tmp_path / "a.ckpt")
    for net in (CAEB(), CAEA(5)):
        with pytest.raises(CheckpointError, match=r"a\.ckpt: holds a CAEA that does not fit"):
            checkpoint.start_from(tmp_path / "a.ckpt", net)
