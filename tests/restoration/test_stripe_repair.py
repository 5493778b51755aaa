"""The rules around the stripe network: what is damaged, what replaces it, what is left."""

import math
import re

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from stm_experiments import load
from stm_experiments.models import Destripe
from stm_experiments.models.interfaces import Repairing, Uncertain
from stm_experiments.models.networks.gaps import fill_gaps
from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.stripe_repair import (
    StripeRepair,
    StripeRules,
    in_long_run,
    rough_lines,
    smallest_jumps,
    trial_gaps,
)
from stm_experiments.restoration.whole_network import whole_image_network


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


def terraces(seed, kind, size=161):
    """A surface without stripes: a step at an angle, a tip change along the rows, islands (with
    strong offsets of all rows)."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(*[torch.arange(float(size))] * 2, indexing="ij")
    place, height = torch.rand(2, generator=generator).tolist()
    if kind == "terraces":
        distance = (rows - size * (0.2 + 0.6 * place)) * math.cos(1 + 2 * height) + columns / 2
        surface = 2 * torch.sigmoid(distance)
    elif kind == "tip jump":
        surface = (0.5 + 2 * height) * (rows > 20 + 0.75 * size * place)
    else:
        coarse = torch.randn(1, 1, 8, 8, generator=generator)
        smooth = nn.functional.interpolate(coarse, (size, size), mode="bicubic")[0, 0]
        surface = torch.sigmoid(8 * (smooth - 0.5))
    lines = (0.3 if kind == "offset rows" else 0.03) * torch.randn(size, 1, generator=generator)
    crystal = torch.from_numpy(lattice(size, size)) * (seed % 2) / 4
    return surface + crystal + lines + 0.05 * torch.randn(size, size, generator=generator)


@pytest.mark.parametrize("kind", ["terraces", "tip jump", "islands", "offset rows"])
def test_steps_islands_and_tip_changes_stay_as_recorded(kind):
    images = torch.stack([terraces(seed, kind) for seed in range(6)])[:, None]
    with torch.inference_mode():
        repair = whole_image_network(load("destripe")).repair(images)
    changed = repair.output != images
    assert changed.float().mean() <= 0.01
    assert changed.float().mean((1, 2, 3)).max() <= (0.02 if kind == "offset rows" else 0.01)
    assert torch.equal(changed | repair.repaired, repair.repaired)
    assert tallest_block(changed) <= 8


def tallest_block(changed):
    """Height of the tallest connected block in [B, 1, H, W] bool, px."""
    return max(
        (rows.stop - rows.start
         for image in changed[:, 0].numpy()
         for rows, _ in ndimage.find_objects(ndimage.label(image)[0])),
        default=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "most"),
    [("20201111--4_1.Z_mtrx", 0.0125), ("hopg_300k_2020_08_11_16_04_06_999.sm4", 0.005)],
)
def test_no_block_of_more_than_eight_rows_changes_in_real_scans_with_steps(shared, name, most):
    path = shared / "data" / "scans" / "formats" / name
    if not path.is_file():
        pytest.skip(f"needs the scan {path}")
    scan = denoise(path, "destripe")
    changed = (scan.data != scan.before.data) & scan.mask
    assert 0 < changed.mean() < most  # scars are repaired
    assert tallest_block(torch.from_numpy(changed)[None, None]) <= 8
    for sentence in (line for line in scan.history if line.startswith("left as recorded: ")):
        rows = [range(int(a), int(b) + 1) for a, b in re.findall(r"(\d+) to (\d+)", sentence)]
        assert max(len(block) for block in rows) > 8


def test_a_stripe_begins_and_ends_with_a_jump():
    image = np.random.default_rng(0).normal(size=(60, 40)).astype(np.float32)
    labels = np.zeros((60, 40), np.int32)
    labels[20:23], labels[40:43], labels[57:] = 1, 2, 3
    image[20:23] += 6
    image[40:] += 6
    jumps = smallest_jumps(image, labels, 0.0)
    assert jumps[1] == pytest.approx((36 + 2) / 2, rel=0.3)
    assert jumps[2] == pytest.approx(1, abs=0.5)  # a step: it does not come back
    assert jumps[3] == pytest.approx(1, abs=0.5)
    assert not smallest_jumps(image, np.ones_like(labels), 0.0).any()


def test_a_tall_block_of_irregular_shape_is_left_and_said_so():
    image = torch.rand(1, 1, 96, 80)
    marked = torch.zeros(96, 80, dtype=torch.bool)
    for row in range(30, 50):
        marked[row, 2 * (row - 30) : 2 * (row - 30) + 20] = True
    image[0, 0][marked] += 9.0
    blocks = StripeRepair(Destripe(4, 4)).blocks(image, marked[None, None])
    assert torch.equal(blocks.doubtful[0, 0], marked)
    assert not blocks.stripes.any()
    marked[:] = False
    marked[30:46] = True
    image[0, 0][marked] += 9.0
    blocks = StripeRepair(Destripe(4, 4)).blocks(image, marked[None, None])
    assert torch.equal(blocks.stripes[0, 0], marked)
