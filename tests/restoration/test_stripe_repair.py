"""The rules around the stripe network: what is damaged, what replaces it, what is left."""

import numpy as np
import pytest
import torch
from torch import nn

from stm_experiments.models import Destripe
from stm_experiments.models.interfaces import Repairing, Uncertain
from stm_experiments.models.networks.gaps import fill_gaps
from stm_experiments.restoration.stripe_repair import (
    StripeRepair,
    StripeRules,
    in_long_run,
    rough_lines,
    trial_gaps,
)


def lattice(height=96, width=80, period=14.0):
    rows, columns = np.indices((height, width))
    wave = np.cos(2 * np.pi * (rows + 0.3 * columns) / period)
    return (wave + np.cos(2 * np.pi * columns / period)).astype(np.float32)


def confident(net, rows):
    """A finder that takes given rows for striped, whatever it sees."""

    class Knows(nn.Module):
        def forward(self, seen):
            odds = torch.full_like(seen[:, :1], -9.0)
            odds[:, :, rows] = 9.0
            return odds

    net.finder = Knows()
    return net.eval()


def test_what_is_not_found_stays_bit_by_bit():
    torch.manual_seed(0)
    image = torch.from_numpy(lattice())[None, None]
    image[:, :, [30, 31]] = 20 * (torch.rand(1, 1, 2, 80) > 0.5) - 10.0
    image = image * 1e-9 + 3e-7
    net = StripeRepair(confident(Destripe(4, 4), [30, 31]))
    with torch.no_grad():
        nn.init.normal_(net.net.repairer.leave.weight, std=0.1)
        repair = net.repair(image)
    rest = torch.ones(96, dtype=torch.bool)
    rest[[30, 31]] = False
    assert torch.equal(repair.output[:, :, rest], image[:, :, rest])
    assert not repair.repaired[:, :, rest].any()
    assert not repair.deviation[:, :, rest].any()
    assert (repair.output != image)[:, :, ~rest].float().mean() > 0.9
    assert (repair.deviation[:, :, ~rest] > 0).all()
    assert torch.equal(net(image), repair.output)
    assert torch.equal(net.uncertainty(image), repair.deviation)


def test_found_lines_that_agree_with_the_surface_are_let_go():
    image = torch.from_numpy(lattice())[None, None]
    image[:, :, 31] = 2 * torch.rand(80) - 1
    net = StripeRepair(confident(Destripe(4, 4), slice(29, 34)))
    with torch.no_grad():
        net.net.repairer.leave.bias.view(5, 4)[4] = -2.0  # sure of what stands there
        repair = net.repair(image)
    assert repair.repaired[0, 0, 31].all()
    assert repair.repaired.sum() == 80


def test_damage_that_is_too_wide_is_left_and_said_so():
    torch.manual_seed(0)
    image = torch.from_numpy(lattice(128))[None, None]
    wide = slice(40, 90)
    image[:, :, wide] = torch.rand(1, 1, 50, 80)
    repair = StripeRepair(confident(Destripe(4, 4), wide)).repair(image)
    assert repair.unrepaired[:, :, wide].all()
    assert not repair.repaired.any()
    assert torch.equal(repair.output, image)
    unit = Destripe.scale(image)[1]
    assert (repair.deviation[repair.unrepaired] >= unit.item()).all()


def test_runs_down_a_column_are_counted():
    found = torch.zeros(1, 1, 60, 4, dtype=torch.bool)
    found[0, 0, 10:34, 0] = found[0, 0, 10:35, 1] = found[0, 0, :30, 2] = True
    found[0, 0, ::2, 3] = True
    assert in_long_run(found, 24).sum(2).flatten().tolist() == [0, 25, 30, 0]
    assert not in_long_run(found[:, :, :20], 24).any()


def test_trial_gaps_lie_on_good_lines():
    found = torch.zeros(1, 1, 60, 4, dtype=torch.bool)
    found[:, :, 20:22] = True
    trial = trial_gaps(found)
    rows = trial[0, 0, :, 0].nonzero()[:, 0]
    assert len(rows) == 2
    assert (rows - 20).abs().min() > 3
    assert rows.min() > 2
    assert rows.max() < 57


def test_rough_lines_stand_out():
    image = torch.from_numpy(lattice())[None, None]
    image[:, :, 50] = torch.rand(80)
    assert rough_lines(image, 0.9)[0, 0].all(1).nonzero().flatten().tolist() == [50]


def test_brightness_and_contrast_do_not_matter():
    torch.manual_seed(0)
    image = torch.from_numpy(lattice())[None, None]
    image[:, :, 50] = torch.rand(80)
    net = StripeRepair(Destripe(4, 4)).eval()
    with torch.no_grad():
        nn.init.normal_(net.net.finder.leave.weight, std=0.5)
        nn.init.normal_(net.net.repairer.leave.weight, std=0.1)
        ours, other = net.repair(image), net.repair(7 * image - 3)
    same = ours.repaired == other.repaired
    assert same.float().mean() > 0.999
    both = ours.repaired & other.repaired
    assert both.any()
    torch.testing.assert_close((7 * ours.output - 3)[same], other.output[same], atol=0.02, rtol=0)


def test_it_is_a_network_that_repairs_and_states_its_error():
    net = StripeRepair(Destripe(4, 4))
    assert isinstance(net, Repairing)
    assert isinstance(net, Uncertain)


@pytest.mark.parametrize("size", [(96, 80), (63, 97), (5, 9)])
def test_any_size(size):
    images = torch.rand(2, 1, *size)
    assert StripeRepair(Destripe(4, 4)).eval()(images).shape == images.shape


def test_a_rule_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="longest is at least 1, not 0"):
        StripeRepair(Destripe(4, 4), StripeRules(longest=0))


def test_the_estimate_that_is_closest_in_trial_gaps_is_used():
    """In an image without noise that is the smooth filling, whatever an untrained network adds."""
    torch.manual_seed(0)
    image = torch.from_numpy(lattice())[None, None]
    lost = image.clone()
    lost[:, :, [40, 41]] = 5 * torch.rand(1, 1, 2, 80)
    net = StripeRepair(confident(Destripe(4, 4), [40, 41]))
    with torch.no_grad():
        nn.init.normal_(net.net.repairer.leave.weight, std=0.1)
        net.net.repairer.leave.bias.view(5, 4)[4] = -2.0
        repair = net.repair(lost)
    smooth = fill_gaps(lost[0, 0].numpy(), np.arange(96)[:, None] // 2 == np.full(80, 20), 4)
    torch.testing.assert_close(repair.output[0, 0], torch.from_numpy(smooth), atol=1e-4, rtol=0)
    error = (repair.output - image)[repair.repaired].square().mean().sqrt()
    assert repair.deviation[repair.repaired].mean() < 10 * error + 1e-3
