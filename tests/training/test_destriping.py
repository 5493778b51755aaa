"""What the stripe remover is trained by."""

import pytest
import torch

from stm_experiments.core.batch import Batch, concatenate
from stm_experiments.models import Destripe
from stm_experiments.restoration.stripe_repair import StripeRepair
from stm_experiments.training import Destriping


def batch(striped=True, count=3):
    torch.manual_seed(1)
    rows, columns = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    clean = (torch.sin(rows / 2) + torch.cos(columns / 3)).expand(count, 1, 48, 48).clone()
    mask = torch.zeros_like(clean, dtype=torch.bool)
    mask[:, :, 20:22] = striped
    noisy = torch.rand_like(clean).where(mask, clean)
    unknown = torch.zeros(count)
    return Batch(noisy, clean, unknown, unknown, unknown, unknown, {"stripes": mask})


def test_training_finds_stripes_and_knows_its_error():
    torch.manual_seed(0)
    net = Destripe(6, 6)
    objective = Destriping(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    here, losses = batch(), []
    for _ in range(40):
        optimizer.zero_grad()
        loss = objective.loss(here)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 3
    repair = StripeRepair(net.eval()).repair(here.noisy)
    assert (repair.repaired == here.truth["stripes"]).float().mean() > 0.99
    errors = (repair.output - here.clean)[repair.repaired]
    known = repair.deviation[repair.repaired]
    assert errors.square().mean().sqrt() < 0.05
    assert 0.2 < errors.square().mean().sqrt() / known.square().mean().sqrt() < 5


def test_every_weight_gets_a_gradient():
    net = Destripe(4, 4)
    with torch.no_grad():
        torch.nn.init.normal_(net.repairer.leave.weight, std=0.1)
        torch.nn.init.normal_(net.finder.leave.weight, std=0.1)
    Destriping(net).loss(batch()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_patches_without_stripes_train_the_finder_alone():
    net = Destripe(4, 4)
    Destriping(net).loss(batch(striped=False)).backward()
    assert net.finder.leave.weight.grad.abs().sum() > 0
    assert net.repairer.leave.weight.grad is None


def test_finding_has_the_same_weight_in_batches_with_and_without_gaps():
    """With the errors of repairing left out, a batch's loss is the mean of its patches' losses."""
    objective = Destriping(Destripe(4, 4))
    objective.repair_terms = lambda noisy, clean, gaps: (torch.zeros(()), torch.zeros(()))
    with torch.no_grad():
        plain, striped = (objective.loss(batch(kind, count=1)) for kind in (False, True))
        mixed = concatenate([batch(False, count=1), batch(True, count=1)])
        torch.testing.assert_close(objective.loss(mixed), (plain + striped) / 2)


def test_data_without_stripes_and_other_targets_are_refused():
    objective = Destriping(Destripe(4, 4))
    with pytest.raises(ValueError, match="noise=stripes"):
        objective.loss(batch()._replace(truth={}))
    with pytest.raises(ValueError, match=r"model\.target=clean"):
        Destriping(Destripe(4, 4), target="noisy")
