"""Scores over all patches, their intervals by image, and their sums over batches and processes."""

import copy
import json
import math

import pytest
import torch
from scipy import stats
from torch import nn

from stm_experiments.core.batch import Batch
from stm_experiments.core.intervals import Interval
from stm_experiments.metrics.measures import mse, ssim
from stm_experiments.metrics.scores import (
    NOISY_INPUT,
    ReconstructionScore,
    flatten_scores,
    read_scores,
    score_networks,
)
from stm_experiments.models.interfaces import NetworkModule


class Scale(NetworkModule):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def batch(image, lattice=None, clean=True, seed=0, size=17):
    generator = torch.Generator().manual_seed(seed)
    n = len(image)
    image = torch.tensor(image)
    target = torch.rand(n, 1, size, size, generator=generator) * 2 - 1
    noise = 0.1 * (1 + image[:, None, None, None]) * torch.randn(target.shape, generator=generator)
    return Batch(
        noisy=(target + noise).clamp(-1, 1),
        clean=target if clean else None,
        lattice=torch.zeros(n, dtype=torch.int64) if lattice is None else torch.tensor(lattice),
        orientation=torch.zeros(n, 3),
        image=image,
        position=torch.zeros(n, 2),
        truth={},
    )


def concatenated(a, b):
    fields = [
        torch.cat(pair) if torch.is_tensor(pair[0]) else {} for pair in zip(a, b, strict=True)
    ]
    return Batch(*fields)


def test_mean_is_over_all_patches_and_batches_do_not_matter():
    a, b = batch([0, 0, 1, 2]), batch([2, 1, 1], seed=1)
    both = concatenated(a, b)
    split, _ = score_networks({"half": Scale(0.5)}, [a, b])
    whole, _ = score_networks({"half": Scale(0.5)}, [both])
    output = 0.5 * both.noisy
    expected = {
        "mse_noisy": mse(output, both.noisy).mean(),
        "mse_clean": mse(output, both.clean).mean(),
        "psnr_clean": 10 * torch.log10(4 / mse(output, both.clean).mean()),
        "ssim_noisy": ssim(output, both.noisy).mean(),
        "ssim_clean": ssim(output, both.clean).mean(),
        "ssim_paper": ssim(output, both.noisy, 11, 1.0).mean(),
    }
    assert list(split) == ["half", NOISY_INPUT]
    assert list(split["half"]) == list(expected)
    for name, value in expected.items():
        assert split["half"][name].mean == pytest.approx(value.item(), rel=1e-5)
        assert whole["half"][name] == pytest.approx(split["half"][name], rel=1e-6)
    assert split[NOISY_INPUT]["mse_noisy"].mean == 0
    assert split[NOISY_INPUT]["ssim_noisy"].mean == pytest.approx(1)


def test_interval_is_the_t_interval_of_image_means():
    data = batch([0, 0, 1, 1, 2, 2])
    scores, _ = score_networks({"half": Scale(0.5)}, [data])
    means = mse(0.5 * data.noisy, data.clean).view(3, 2).mean(1)
    low, high = stats.t.interval(0.95, 2, means.mean().item(), stats.sem(means.numpy()))
    got = scores["half"]["mse_clean"]
    assert got == pytest.approx((means.mean().item(), (high - low) / 2), rel=1e-5)
    # The derivative of 10 log10(4 / m) is -10 / (ln 10 m).
    assert scores["half"]["psnr_clean"].half == pytest.approx(
        10 / math.log(10) * got.half / got.mean
    )


def test_interval_covers_the_truth_nineteen_times_in_twenty():
    # Images of unequal counts whose constant error is drawn around 1.
    generator = torch.Generator().manual_seed(3)
    hits = 0
    for _ in range(200):
        means = 1 + 0.2 * torch.randn(12, generator=generator)
        image = torch.repeat_interleave(torch.arange(12), torch.tensor([3, 4, 5] * 4))
        noisy = means[image].sqrt()[:, None, None, None].expand(-1, 1, 2, 2)
        data = Batch(noisy, None, image * 0, image, image, image, {})
        got = score_networks({"zero": Scale(0.0)}, [data])[0]["zero"]["mse_noisy"]
        hits += abs(got.mean - 1) <= got.half
    assert 180 <= hits <= 198


def test_one_image_has_no_interval():
    scores, _ = score_networks({}, [batch([5, 5])])
    got = scores[NOISY_INPUT]["mse_clean"]
    assert got.half is None


def test_lattices_are_scored_apart_too():
    mixed = batch([0, 1, 2, 3], lattice=[0, 2, 0, 2])
    _, by_lattice = score_networks({"half": Scale(0.5)}, [mixed])
    assert list(by_lattice) == [0, 2]
    expected = mse(mixed.noisy, mixed.clean)[[1, 3]].mean().item()
    assert by_lattice[2][NOISY_INPUT]["mse_clean"].mean == pytest.approx(expected, rel=1e-5)


def test_without_clean_there_are_no_clean_measures():
    scores, _ = score_networks({}, [batch([0, 1], clean=False)])
    assert list(scores[NOISY_INPUT]) == ["mse_noisy", "ssim_noisy", "ssim_paper"]
    scores, _ = score_networks({}, [batch([0, 1], clean=False), batch([2, 3], seed=1)])
    other, _ = score_networks({}, [batch([2, 3], seed=1)])
    assert scores[NOISY_INPUT]["mse_clean"] == other[NOISY_INPUT]["mse_clean"]


def test_eval_mode_without_gradients_and_flags_restored():
    net = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    net.train()
    net[1].eval()  # a frozen part
    first, _ = score_networks({"net": net}, [batch([0, 1])])
    second, _ = score_networks({"net": net}, [batch([0, 1])])
    assert first == second
    assert [m.training for m in net.modules()] == [True, True, False, True]
    assert net[2].num_batches_tracked == 0
    assert next(net.parameters()).grad is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_broken_reconstruction_is_an_error(value):
    net = Scale(value).train()
    with pytest.raises(ValueError, match=r"'broken' returned NaN or infinite .* image 7 among|7\)"):
        score_networks({"broken": net}, [batch([7, 8])])
    assert net.training


def test_other_errors():
    with pytest.raises(ValueError, match="no patches"):
        score_networks({}, [])
    with pytest.raises(ValueError, match="untouched"):
        score_networks({NOISY_INPUT: Scale(1.0)}, [batch([0])])
    with pytest.raises(ValueError, match="input's shape"):
        score_networks({"crop": nn.MaxPool2d(2)}, [batch([0])])


SCORES = {
    "CAE-A": {"mse_noisy": Interval(0.0208, 0.0011), "mse_clean": Interval(0.03, None)},
    "PCA-10": {"mse_noisy": Interval(0.0285, 0.001), "mse_clean": Interval(0.0304, None)},
    NOISY_INPUT: {"mse_noisy": Interval(0.0, 0.0), "mse_clean": Interval(0.0042, None)},
}


def test_plain_numbers():
    numbers = flatten_scores(SCORES, own="CAE-A")
    assert numbers["test/mse_noisy"] == 0.0208
    assert numbers["test/mse_noisy_ci95"] == pytest.approx(0.0011)
    assert numbers["PCA-10/test/mse_noisy"] == 0.0285
    assert numbers["noisy input/test/mse_clean"] == 0.0042
    assert "test/mse_clean_ci95" not in numbers
    of_fcc = flatten_scores(SCORES, "validation", "fcc")
    assert of_fcc["CAE-A/val/fcc/mse_clean"] == 0.03
    assert of_fcc["PCA-10/val/fcc/mse_clean"] == 0.0304
    assert read_scores(numbers | of_fcc, "CAE-A") == (SCORES, "test")


def test_plain_numbers_are_valid_json_even_for_a_perfect_copy():
    data = batch([0, 1])
    scores, _ = score_networks({"copy": Scale(1.0)}, [data._replace(clean=data.noisy)])
    assert scores["copy"]["psnr_clean"].mean == math.inf
    numbers = flatten_scores(scores, own="copy")
    json.dumps(numbers, allow_nan=False)
    assert "test/psnr_clean" not in numbers


def updated(metric, data, factor=0.5):
    metric.update(factor * data.noisy, data.noisy, data.clean, data.lattice, data.image)
    return metric


def test_several_processes_score_as_one_does():
    """Each of two processes has some patches of image 1; torchmetrics gathers their sums."""
    first, second = batch([0, 0, 1], lattice=[2, 2, 3]), batch([1, 2], lattice=[3, 2], seed=1)
    alone = updated(updated(ReconstructionScore("net"), first), second).compute()
    ranks = [updated(ReconstructionScore("net"), data) for data in (first, second)]

    def gather(value, group=None):
        """Stand for torch.distributed: return what all processes hold."""
        (name,) = [
            name
            for name in ("image", "lattice", "sums", "counts")
            if torch.equal(getattr(ranks[0], name)[0], value)
        ]
        return [getattr(rank, name)[0] for rank in ranks]

    gathering = copy.deepcopy(ranks[0])
    gathering.dist_sync_fn = gather
    gathering.distributed_available_fn = lambda: True
    for ours, theirs in zip(gathering.compute(), alone, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert alone.lattice.tolist() == [2, 3, 2]


def test_the_scores_of_one_process_wait_for_no_other():
    """Of processes that train together only the first one scores: gathering would hang."""
    metric = ReconstructionScore("net", sync_on_compute=False)
    metric.distributed_available_fn = lambda: True
    metric.dist_sync_fn = lambda *_: pytest.fail("gathered")
    assert updated(metric, batch([0, 1])).compute().sums.shape == (2, 5)
