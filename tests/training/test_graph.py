"""The steps of a CUDA graph, on a CPU, where they are a plain loop: those of PyTorch's Adam."""

import copy
import json
from functools import partial

import pytest
import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from stm_experiments.models import CAEA, CAEB
from stm_experiments.training import Reconstruction
from stm_experiments.training.steps.graph import AdamSteps, adam_row, check_graph, flat_loss

STEPS, BATCH = 24, 32


@pytest.fixture(scope="module")
def batches():
    rows = torch.linspace(0, 6.28, 17)
    phases = 6.28 * torch.rand(2, STEPS, BATCH, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    return torch.sin(rows[:, None] + 0.5 * rows + phases)


def flat(net):
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def with_adam(net, batches):
    """Train in place by PyTorch; return the losses and the graph's table."""
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    schedule = OneCycleLR(optimizer, 2e-2, total_steps=STEPS)  # also moves the first beta
    losses, table = [], []
    for number, batch in enumerate(batches, 1):
        table.append(adam_row(optimizer.param_groups[0], number))
        optimizer.zero_grad()
        loss = F.mse_loss(net(batch), batch)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return torch.stack(losses), torch.tensor(table)


def test_steps_are_those_of_adam_and_its_schedule(batches):
    net = CAEA()
    weights = flat(net)
    steps = AdamSteps(flat_loss(copy.deepcopy(net)), weights, 0.999, 1e-8)
    losses, table = with_adam(net, batches[0])
    found = torch.cat([steps(part, patches) for part, patches in
                       zip(table.split(8), batches[0].split(8), strict=True)])  # fmt: skip
    assert losses[-1] < 0.5 * losses[0]
    torch.testing.assert_close(found, losses, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(weights, flat(net), rtol=0, atol=1e-4)


def test_runs_side_by_side_are_runs_by_themselves(batches):
    nets = [CAEA(), CAEA()]
    weights = torch.stack([flat(net) for net in nets])
    steps = AdamSteps(flat_loss(copy.deepcopy(nets[0])), weights, 0.999, 1e-8)
    alone = [with_adam(net, each) for net, each in zip(nets, batches, strict=True)]
    found = steps(alone[0][1], batches.transpose(0, 1))
    for run, (losses, _) in enumerate(alone):
        torch.testing.assert_close(found[:, run], losses, rtol=1e-4, atol=1e-6)


MANY = ("data.batch_size=2", "model.fused=graph", "model.scheduler.pct_start=0.5")


def test_a_run_ends_as_with_pytorchs_steps_and_goes_on_after_a_signal(
    train_in, check_resume, tmp_path, no_figures
):
    whole = check_resume(Reconstruction, 2, lambda folder: train_in(folder, *MANY), 4)
    plain = train_in(tmp_path / "plain", *MANY, "model.fused=false")
    error = json.loads((whole / "metrics.json").read_text())["val/loss"]
    assert error == pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize(
    ("net", "optimizer", "reason"),
    [
        (CAEB(), torch.optim.Adam, "not written for CAE-B: it keeps statistics"),
        (CAEA(), partial(torch.optim.Adam, weight_decay=0.1), "without weight decay"),
        (CAEA(), torch.optim.SGD, "written for torch.optim.Adam"),
    ],
)
def test_what_the_steps_are_not_written_for_is_refused(net, optimizer, reason):
    with pytest.raises(ValueError, match=reason):
        check_graph(net, optimizer(net.parameters(), 1e-3))


def test_a_trainer_that_clips_is_refused(train_in, tmp_path):
    with pytest.raises(ValueError, match=r"model\.fused=graph needs .* no gradient_clip_val"):
        train_in(tmp_path, *MANY, "trainer.gradient_clip_val=1")
