"""The networks: their shapes, the published weights, from a config to a file and back."""

from dataclasses import asdict

import pytest
import torch
from torch import nn

import stm_experiments
from stm_experiments import models
from stm_experiments.app import build
from stm_experiments.app.settings import resolve
from stm_experiments.core.config_files import config_dir
from stm_experiments.models import checkpoint

MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))


def shapes(layers, x):
    """Shape without batch after every layer that is more than an activation or a norm."""
    found = []
    for layer in layers:
        x = layer(x)
        if not isinstance(layer, nn.ReLU | nn.LeakyReLU | nn.BatchNorm2d | nn.Hardtanh):
            found.append((type(layer).__name__, *x.shape[1:]))
    return found


def test_cae_a_is_the_papers():
    net = models.CAEA()
    assert sum(p.numel() for p in net.parameters()) == 6212
    assert shapes(net.encoder, torch.randn(2, 1, 17, 17)) == [
        ("Conv2d", 16, 17, 17),
        ("MaxPool2d", 16, 8, 8),
        ("Conv2d", 9, 8, 8),
        ("MaxPool2d", 9, 4, 4),
        ("Flatten", 144),
        ("Linear", 10),
    ]
    assert shapes(net.decoder, torch.randn(2, 10)) == [
        ("Linear", 144),
        ("Unflatten", 9, 4, 4),
        ("ConvTranspose2d", 16, 8, 8),
        ("ConvTranspose2d", 1, 17, 17),
    ]
    assert isinstance(net.decoder[-1], nn.ConvTranspose2d)  # no activation at the output


@pytest.mark.parametrize("lattice", ["sc", "bcc", "fcc"])
def test_published_weights_load_into_cae_a(shared, lattice):
    path = shared / "data" / "binev" / "weights" / f"cae_a_{lattice}.pth"
    state = torch.load(path, "cpu", weights_only=True)
    net = models.CAEA()
    net.load_state_dict(state, strict=True)
    assert all(torch.equal(net.state_dict()[key], value) for key, value in state.items())


def test_cae_b_is_the_papers():
    net = models.CAEB()
    assert shapes(net.encoder, torch.randn(2, 1, 16, 16)) == [
        ("Conv2d", 32, 16, 16),
        ("MaxPool2d", 32, 8, 8),
        ("Conv2d", 24, 8, 8),
        ("MaxPool2d", 24, 4, 4),
        ("Conv2d", 16, 4, 4),
        ("MaxPool2d", 16, 2, 2),
        ("Conv2d", 8, 2, 2),
        ("MaxPool2d", 8, 1, 1),
        ("Flatten", 8),
        ("Linear", 10),
    ]
    assert shapes(net.decoder, torch.randn(2, 10)) == [
        ("Linear", 96),
        ("Unflatten", 24, 2, 2),
        ("ConvTranspose2d", 24, 4, 4),
        ("ConvTranspose2d", 16, 8, 8),
        ("ConvTranspose2d", 8, 16, 16),
        ("ConvTranspose2d", 4, 16, 16),
        ("Conv2d", 1, 16, 16),
    ]


def test_cae_b_stays_within_its_range():
    net = models.CAEB()
    for parameter in net.parameters():
        parameter.data.mul_(5)
    out = net(3 * torch.randn(64, 1, 16, 16))
    assert out.min() == -1
    assert out.max() == 1


@pytest.mark.parametrize("network", [models.CAEA, models.CAEB])
def test_the_number_of_latent_numbers_can_be_chosen(network):
    net = network(latent=3)
    patches = torch.randn(4, 1, net.window, net.window)
    assert net.encode(patches).shape == (4, 3)
    assert torch.equal(net(patches), net.decode(net.encode(patches)))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_goes_from_config_to_file_and_back(name, compose_config, tmp_path):
    config = resolve(compose_config(f"model={name}", "lattice=[sc,fcc]"))
    objective = build.build_model(config)
    net = objective.net
    window = net.window or 32
    patches = torch.randn(512 if net.window else 16, 1, window, window)
    if hasattr(net, "fit"):
        net.fit([patches])
    elif any(True for _ in net.parameters()):
        net(patches)  # in training mode, so that running statistics are not those of a new network
    net.eval()
    with torch.inference_mode():
        wanted = net(patches)
    assert wanted.shape == patches.shape
    assert wanted.dtype == torch.float32
    assert wanted.isfinite().all()

    card = build.build_card(config, net.window)
    alone, whole = tmp_path / "alone.ckpt", tmp_path / "whole.ckpt"
    checkpoint.save(net, card, alone)
    checkpoint.write_checkpoint({"state_dict": objective.state_dict(), "card": asdict(card)}, whole)
    for path in (alone, whole):
        loaded = stm_experiments.load(path)
        assert not loaded.training
        assert type(loaded) is type(net)
        for key, value in net.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], value), key
        with torch.inference_mode():  # the trained one's channels vary fastest: other last bits
            torch.testing.assert_close(loaded(patches), wanted, atol=1e-6, rtol=0)
        assert loaded.window == loaded.card.window == net.window
        assert loaded.card.lattice == ["sc", "fcc"]
        assert loaded.card.config == config
        assert loaded.card.normalisation == "minmax"
