"""The compiled step of CAE-A: the same function and the same gradients as PyTorch's layers."""

import copy
import logging
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from stm_experiments.models import CAEA, CAEB
from stm_experiments.training import Reconstruction
from stm_experiments.training.steps.fused import choose_fused

pytest.importorskip("numba", reason="the fused step needs numba")
from stm_experiments.models.fused import cache
from stm_experiments.models.fused.loss import FusedLoss


def waves(count, noise=0.1):
    """Patches [count, 1, 17, 17] of waves in random phases, with and without noise."""
    phase = torch.rand(count, 1, 1, 1) * 6.28
    rows = torch.linspace(0, 6.28, 17)
    clean = torch.sin(rows[:, None] + 0.5 * rows + phase)
    return clean + noise * torch.randn(clean.shape), clean


def gradients(loss, net):
    net.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in net.parameters()]


def exact(net, noisy, target):
    """The loss and the gradients in float64."""
    double = copy.deepcopy(net).double()
    loss = F.mse_loss(double(noisy.double()), target.double())
    return loss, gradients(loss, double)


class Trainer:
    """What the choice asks a trainer."""

    def __init__(self, precision="32-true", device="cpu"):
        self.precision = precision
        self.strategy = self
        self.root_device = torch.device(device)


@pytest.mark.parametrize("latent", [1, 10])
@pytest.mark.parametrize("count", [1, 37, 128])
@pytest.mark.parametrize("target", ["noisy", "clean"])
def test_loss_and_gradients_are_those_of_the_network(latent, count, target):
    net = CAEA(latent).to(memory_format=torch.channels_last)
    noisy, clean = waves(count)
    wanted = noisy if target == "noisy" else clean
    loss = FusedLoss(net)(noisy, wanted)
    exact_loss, exact_gradients = exact(net, noisy, wanted)
    assert loss.item() == pytest.approx(exact_loss.item(), rel=1e-6)
    largest = max(right.abs().max() for right in exact_gradients)
    for found, right in zip(gradients(loss, net), exact_gradients, strict=True):
        assert (found - right).abs().max() <= 1e-6 * largest


def test_gradients_are_at_least_as_exact_as_those_of_the_layers():
    net = CAEA()
    noisy, _ = waves(512)
    _, right = exact(net, noisy, noisy)

    def error(loss):
        pairs = zip(gradients(loss, net), right, strict=True)
        return max(((found - wanted).norm() / wanted.norm()).item() for found, wanted in pairs)

    assert error(FusedLoss(net)(noisy, noisy)) <= error(F.mse_loss(net(noisy), noisy))


def test_of_equal_pixels_the_first_is_kept():
    net = CAEA()
    with torch.no_grad():
        net.encoder[0].weight.zero_()
        net.encoder[0].bias.fill_(0.5)
    noisy, _ = waves(16)
    _, right = exact(net, noisy, noisy)
    found = gradients(FusedLoss(net)(noisy, noisy), net)
    torch.testing.assert_close(found[0].double(), right[0], rtol=1e-5, atol=1e-9)


def test_the_weights_are_read_at_each_call_and_nothing_is_left_of_the_last_one():
    net, other = CAEA(), CAEA()
    noisy, _ = waves(37)
    step = FusedLoss(net)
    before = step(noisy, noisy)
    small = step(noisy[:3], noisy[:3])
    assert step(noisy, noisy) == before
    assert small.item() == pytest.approx(exact(net, noisy[:3], noisy[:3])[0].item(), rel=1e-6)
    net.load_state_dict(other.state_dict())
    assert step(noisy, noisy) == FusedLoss(other)(noisy, noisy)


def test_without_gradients_the_loss_is_the_same():
    net = CAEA()
    noisy, clean = waves(37)
    step = FusedLoss(net)
    with torch.no_grad():
        loss = step(noisy, clean)
    assert not loss.requires_grad
    assert loss == step(noisy, clean)


def test_other_shapes_are_refused():
    step = FusedLoss(CAEA())
    for noisy, target in ((16, 16), (17, 16)):
        shapes = torch.zeros(2, 1, noisy, noisy), torch.zeros(2, 1, target, target)
        with pytest.raises(ValueError, match=r"takes patches \[B, 1, 17, 17\] and targets"):
            step(*shapes)


def test_a_copy_computes_the_same():
    noisy, _ = waves(20)
    step = FusedLoss(CAEA())
    copied = copy.deepcopy(step)
    loss, gradients_of = step.with_gradients(noisy, noisy)
    copied_loss, copied_gradients = copied.with_gradients(noisy, noisy)
    assert loss == copied_loss
    assert torch.equal(gradients_of, copied_gradients)


def test_what_is_not_a_number_stays_so():
    net = CAEA()
    noisy, _ = waves(20)
    step = FusedLoss(net)
    noisy[13, 0, 4, 4] = torch.nan
    assert step(noisy, noisy).isnan()
    noisy[13, 0, 4, 4] = 0
    assert step(noisy, noisy).isfinite()
    with torch.no_grad():
        net.encoder[3].weight[0, 0, 0, 0] = torch.nan
    assert step(noisy, noisy).isnan()


def test_a_training_has_the_same_curve():
    torch.manual_seed(3)
    start = CAEA()
    noisy, _ = waves(4096)
    curves = []
    for fused in (True, False):
        net = copy.deepcopy(start)
        loss_of = FusedLoss(net) if fused else lambda x, y, net=net: F.mse_loss(net(x), y)
        optimizer = torch.optim.Adam(net.parameters(), 2e-3)
        curve = []
        for batch in noisy.split(256) * 4:
            optimizer.zero_grad()
            loss = loss_of(batch, batch)
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        curves.append(torch.tensor(curve))
    assert curves[0][-1] < 0.3 * curves[0][0]
    assert (curves[0] - curves[1]).abs().max() < 1e-4


def test_it_is_chosen_where_it_can_be_used():
    assert isinstance(choose_fused("auto", CAEA(), "mse", Trainer()), FusedLoss)
    assert isinstance(choose_fused(True, CAEA(), "mse", Trainer()), FusedLoss)
    assert choose_fused(False, CAEA(), "mse", Trainer()) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"net": CAEB()}, "the fused step is written for CAE-A, not for CAE-B"),
        ({"loss": "relative"}, "the fused step has the loss mse, not relative"),
        ({"trainer": Trainer(device="cuda")}, "is written for the CPU, not for cuda"),
        ({"trainer": Trainer("bf16-mixed")}, "computes in 32-true, not in bf16-mixed"),
    ],
)
def test_else_pytorch_trains_and_says_why(changed, reason, caplog):
    settings = {"net": CAEA(), "loss": "mse", "trainer": Trainer(), **changed}
    with caplog.at_level(logging.INFO):
        assert choose_fused("auto", **settings) is None
    assert reason in caplog.text
    with pytest.raises(ValueError, match=f"model.fused=true is not possible: .*{reason}"):
        choose_fused(True, **settings)


def test_without_numba_pytorch_trains_and_says_what_to_install(monkeypatch, caplog):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with caplog.at_level(logging.INFO):
        assert choose_fused("auto", CAEA(), "mse", Trainer()) is None
    assert "numba is not installed (pip install 'stm_experiments[fast]')" in caplog.text


def test_a_wrong_choice_is_refused():
    with pytest.raises(ValueError, match=r"model\.fused is auto, true, false or graph, not 'yes'"):
        Reconstruction(CAEA(), partial(torch.optim.Adam, lr=1e-3), fused="yes")


def test_where_nothing_can_be_written_the_step_is_compiled_all_the_same(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    def double(number):
        return 2 * number

    assert cache.kept_on_disk(double)(21) == 42


def test_a_run_trains_with_it(train_in, tmp_path, no_figures):
    fused, layers = tmp_path / "fused", tmp_path / "layers"
    error = train_in(fused, "model.fused=true")
    assert error == pytest.approx(train_in(layers, "model.fused=false"), rel=1e-4)
    assert error == train_in(tmp_path / "again", "model.fused=auto")
