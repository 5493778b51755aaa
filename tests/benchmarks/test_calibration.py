import sys

import pytest
import torch

from stm_experiments import load
from stm_experiments.benchmarks import calibration
from stm_experiments.benchmarks.calibration import calibrate, errors_and_deviations, main
from stm_experiments.models import Denoiser, checkpoint
from stm_experiments.models.interfaces import Card, NetworkModule

IMAGES = range(1)


@pytest.fixture(autouse=True)
def few_lattices(monkeypatch):
    """Leave out most lattices, to save time."""
    monkeypatch.setattr(calibration, "CUT_LATTICES", ("sc", "hex1"))


@pytest.fixture
def net():
    """A denoiser of random weights that changes its images a little."""
    torch.manual_seed(0)
    made = Denoiser(4).eval()
    torch.nn.init.normal_(made.leave.weight, std=0.01)
    made.card = Card("Denoiser", {"width": 4}, None, "plane")
    return made


class Identity(NetworkModule):
    """A network that changes nothing."""

    def forward(self, images):
        """Return the images."""
        return images


def test_untouched_images_are_in_error_by_their_noise():
    net = Identity()
    error, deviation = errors_and_deviations(net, "paper_white", IMAGES, 96)
    assert deviation.max() == 0
    assert error.median().abs() < 0.01
    assert 0.05 < error.std() < 0.2  # about 22 dB
    with pytest.raises(ValueError, match="no uncertainty"):
        calibrate(net, ["paper_white"], 1, 96)


def test_the_factor_makes_uncertainty_as_large_as_the_error(net):
    factor = calibrate(net, ["paper_white"], 1, 96)
    error, deviation = errors_and_deviations(net, "paper_white", IMAGES, 96)
    torch.testing.assert_close((factor * deviation).square().mean(), error.square().mean())


def test_a_model_is_written_anew_with_its_factor_and_nothing_is_written_over(
    net, tmp_path, monkeypatch, capsys
):
    model, written = tmp_path / "model.ckpt", tmp_path / "shipped.ckpt"
    checkpoint.save(net, net.card, model)
    short = ["--noise", "paper_white", "--images", "1", "--size", "96"]
    monkeypatch.setattr(sys, "argv", ["calibration", str(model), "--write", str(written), *short])
    main()
    shipped = load(written)
    assert shipped.card.calibration == pytest.approx(calibrate(net, ["paper_white"], 1, 96))
    x = torch.rand(1, 1, 40, 33)
    torch.testing.assert_close(shipped(x), net(x))
    with pytest.raises(SystemExit):
        main()
    assert "exists and is not overwritten" in capsys.readouterr().err
