import re

import pytest
import torch
from torch import nn

from stm_experiments.figures.network_diagram import network_diagram
from stm_experiments.models.interfaces import NetworkModule


class Autoencoder(NetworkModule):
    def __init__(self, window, encoder, decoder):
        super().__init__()
        self.window = window
        self.encoder = nn.Sequential(*encoder)
        self.decoder = nn.Sequential(*decoder)

    def encode(self, x):
        return self.encoder(x)

    def decode(self, code):
        return self.decoder(code)

    def forward(self, x):
        return self.decode(self.encode(x))


def cae_a():
    encoder = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    encoder += [nn.Conv2d(16, 9, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    encoder += [nn.Flatten(), nn.Linear(144, 10)]
    decoder = [nn.Linear(10, 144), nn.Unflatten(1, (9, 4, 4))]
    decoder += [nn.ConvTranspose2d(9, 16, 3, 2, 1, 1), nn.ReLU()]
    decoder += [nn.ConvTranspose2d(16, 1, 5, 2, 1)]
    return Autoencoder(17, encoder, decoder)


def cae_b():
    encoder, decoder, channels = [], [nn.Linear(10, 96), nn.Unflatten(1, (24, 2, 2))], 1
    for more in (32, 24, 16, 8):
        encoder += [nn.Conv2d(channels, more, 3, padding=1), nn.LeakyReLU(0.01), nn.MaxPool2d(2)]
        channels = more
    encoder += [nn.Flatten(), nn.Linear(8, 10)]
    channels = 24
    for fewer, stride in ((24, 2), (16, 2), (8, 2), (4, 1)):
        decoder.append(nn.ConvTranspose2d(channels, fewer, 3, stride, 1, stride - 1))
        decoder += [nn.BatchNorm2d(fewer), nn.LeakyReLU(0.01)]
        channels = fewer
    decoder += [nn.Conv2d(4, 1, 1), nn.Hardtanh()]
    return Autoencoder(16, encoder, decoder)


def linear():
    decoder = [nn.Linear(10, 289), nn.Unflatten(1, (1, 17, 17))]
    return Autoencoder(17, [nn.Flatten(), nn.Linear(289, 10)], decoder)


class Pca(NetworkModule):
    window = 17

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(289))
        self.register_buffer("components", torch.ones(10, 289))

    def encode(self, x):
        return (x.flatten(1) - self.mean) @ self.components.T

    def decode(self, code):
        return (code @ self.components + self.mean).view(-1, 1, 17, 17)

    def forward(self, x):
        return self.decode(self.encode(x))


class Chain(nn.Sequential, NetworkModule):
    pass


def deep():
    layers, channels = [], 1
    for _ in range(10):
        layers += [nn.Conv2d(channels, 32, 3, padding=1), nn.InstanceNorm2d(32), nn.LeakyReLU()]
        channels = 32
    return Chain(*layers, nn.Conv2d(32, 1, 3, padding=1))


def true_labels(net, size):
    """Return (name, shape, parameters) of every layer of a chain, without hooks."""
    stages = [net.encoder, net.decoder] if hasattr(net, "encoder") else [net]
    x, labels = torch.zeros(1, 1, size, size), []
    for layer in (layer for stage in stages for layer in stage):
        x = layer.eval()(x)
        shape = "\N{MULTIPLICATION SIGN}".join(map(str, x.shape[1:]))
        labels.append((type(layer).__name__, shape, sum(p.numel() for p in layer.parameters())))
    return labels


def parse(label):
    """Return (name, shape, parameters) from the text below a block."""
    *words, last = label.split("\n")
    parameters = 0
    if last.endswith(" par."):
        parameters, last = int(last.split()[0].replace(",", "")), words.pop()
    return "".join(words), last, parameters


@pytest.mark.parametrize(
    ("make", "size"), [(cae_a, 17), (cae_b, 16), (linear, 17), (deep, 128), (deep, 32)]
)
def test_every_layer_appears_with_its_true_shape(make, size, drawn_texts):
    net = make()
    total = sum(parameter.numel() for parameter in net.parameters())
    figure = network_diagram(net, (1, size, size), "Net")
    texts = drawn_texts(figure)
    title = next(text for text in texts if text.startswith("Net: "))
    assert int(re.sub(r"\D", "", title)) == total
    shown = [parse(text.get_text()) for axes in figure.axes for text in axes.texts]
    shown = [block for block in shown if block[0]]  # arrows are texts without words
    layers = [b for b in shown if b[0] not in ("input", "output", "latent code")]
    assert layers == true_labels(net, size)
    assert sum(block[2] for block in layers) == total
    codes = [block[1] for block in shown if block[0] == "latent code"]
    expected = {"cae_a": 2, "cae_b": 2, "linear": 1, "deep": 0}[make.__name__]
    assert codes == ["10"] * expected
    ends = [block for block in shown if block[0] in ("input", "output")]
    square = "\N{MULTIPLICATION SIGN}".join(["1", str(size), str(size)])
    assert ends == [("input", square, 0), ("output", square, 0)]


def test_a_network_without_layers_shows_input_code_output(drawn_texts):
    figure = network_diagram(Pca(), (1, 17, 17), "PCA-10")
    texts = drawn_texts(figure)
    assert any(text.startswith("PCA-10: 0 parameters (3,179 numbers") for text in texts)
    names = [parse(text.get_text())[0] for text in figure.axes[0].texts]
    assert [name for name in names if name] == ["input", "latent code", "output"]


def test_shapes_other_than_one_image_are_refused():
    with pytest.raises(ValueError, match=r"\(1, h, w\)"):
        network_diagram(linear(), (17, 17), "Net")


def test_shared_layers_and_tuples(drawn_texts):
    class Variational(NetworkModule):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()  # serves both halves
            self.hidden, self.mean, self.spread = nn.Linear(64, 8), nn.Linear(8, 2), nn.Linear(8, 2)
            self.out = nn.Linear(2, 64)

        def encode(self, x):
            hidden = self.act(self.hidden(x.flatten(1)))
            return self.mean(hidden), self.spread(hidden)

        def decode(self, code):
            return self.act(self.out(code)).view(-1, 1, 8, 8)

        def forward(self, x):
            mean, spread = self.encode(x)
            return self.decode(mean + spread * torch.randn_like(spread))

    net = Variational().train()
    net.act.eval()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    figure = network_diagram(net, (1, 8, 8), "VAE")
    assert torch.equal(torch.rand(3), expected)  # the global random stream did not move
    assert net.training
    assert net.mean.training
    assert not net.act.training
    assert not any(module._forward_hooks for module in net.modules())
    drawn_texts(figure)
    names = [parse(text.get_text())[0] for axes in figure.axes for text in axes.texts]
    expected_names = ["input", "Linear", "ReLU", "Linear", "Linear", "latent code"]
    expected_names += ["Linear", "ReLU", "output"]
    assert [name for name in names if name] == expected_names
