"""The reconstruction objective: what it minimises, and with which schedule."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR, StepLR

from stm_experiments.core.batch import Batch
from stm_experiments.models import CAEA
from stm_experiments.training import Reconstruction


def make_batch(count=32, clean=True):
    """Patches of waves in random directions, which ten numbers can describe."""
    phase = torch.rand(count, 1, 1, 1) * 6.28
    rows = torch.linspace(0, 6.28, 17)
    waves = torch.sin(rows[:, None] + 0.5 * rows + phase)
    noisy = waves + 0.1 * torch.randn(waves.shape)
    index = torch.zeros(count, dtype=torch.int64)
    return Batch(noisy, waves if clean else None, index, torch.zeros(count, 3), index, index, {})


def trained(target, batch, steps=150):
    torch.manual_seed(0)
    module = Reconstruction(CAEA(), partial(torch.optim.Adam, lr=5e-3), target=target)
    optimizer = module.configure_optimizers()["optimizer"]
    before = module.training_step(batch, 0).item()
    for _ in range(steps):
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
    return before, module.loss(batch).item()


@pytest.mark.parametrize("target", ["noisy", "clean"])
def test_one_batch_can_be_learnt(target):
    torch.manual_seed(0)
    before, after = trained(target, make_batch())
    assert before > 0.4
    assert after < 0.1 * before


def test_the_loss_is_the_mean_squared_error_against_the_target():
    batch = make_batch()
    net = CAEA()
    for target, wanted in (("noisy", batch.noisy), ("clean", batch.clean)):
        loss = Reconstruction(net, target=target).loss(batch)
        torch.testing.assert_close(loss, (net(batch.noisy) - wanted).square().mean())
    perfect = Reconstruction(torch.nn.Identity(), target="clean").loss(batch)
    torch.testing.assert_close(perfect, F.mse_loss(batch.noisy, batch.clean))


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ValueError, match=r"model\.target is 'noisy' or 'clean', not 'dirty'"):
        Reconstruction(CAEA(), target="dirty")
    with pytest.raises(ValueError, match="target=clean needs noise-free images"):
        Reconstruction(CAEA(), target="clean").training_step(make_batch(clean=False), 0)
    with pytest.raises(ValueError, match="has no optimizer"):
        Reconstruction(CAEA()).configure_optimizers()


def test_without_schedule_the_learning_rate_stays():
    made = Reconstruction(CAEA(), partial(torch.optim.SGD, lr=0.3)).configure_optimizers()
    assert set(made) == {"optimizer"}
    assert made["optimizer"].param_groups[0]["lr"] == 0.3


def test_other_schedules_count_epochs():
    module = Reconstruction(
        CAEA(), partial(torch.optim.Adam, lr=0.1), partial(StepLR, step_size=2, gamma=0.5)
    )
    made = module.configure_optimizers()["lr_scheduler"]
    assert made["interval"] == "epoch"
    assert isinstance(made["scheduler"], StepLR)


def test_one_cycle_is_told_the_number_of_steps():
    class Data:
        steps_per_epoch = 7

    class Trainer:
        datamodule, max_epochs = Data(), 3
        max_steps, limit_train_batches, accumulate_grad_batches = -1, 1.0, 1

    module = Reconstruction(
        CAEA(), partial(torch.optim.Adam, lr=0.1), partial(OneCycleLR, max_lr=1)
    )
    module._trainer = Trainer()
    made = module.configure_optimizers()["lr_scheduler"]
    assert made["interval"] == "step"
    assert made["scheduler"].total_steps == 21


def test_the_curves_say_what_the_loss_is():
    class Own(Reconstruction):
        def loss(self, batch):
            return self.net(batch.noisy).abs().mean()

    class Named(Own):
        loss_label = "mean absolute error"

    assert Reconstruction(CAEA()).curve_label() is None
    relative = Reconstruction(CAEA(), target="clean", loss="relative")
    assert relative.curve_label() == "share of the noise power that is left"
    assert Own(CAEA()).curve_label() == "loss of Own"
    assert Named(CAEA()).curve_label() == "mean absolute error"
