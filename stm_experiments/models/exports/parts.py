"""What is exported of a network, each part a module of one tensor to another."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stm_experiments.models.interfaces import Autoencoder, Network

# Batch and image sizes, px, at which an exported network is compared with PyTorch: other ones than
# that of the example with which it is written. The last side is no multiple of 8 px.
_EXAMPLE = (2, 40, 40)
_TRIALS = ((1, 64, 64), (3, 37, 51), (2, 129, 70))
_BATCHES = (1, 5)  # of networks of one patch size


class Part(NamedTuple):
    """A network or a part of it.

    Attributes:
        ending: Of the name of its file: empty for the whole network.
        module: Maps one tensor to another.
        given: Name of the tensor that it takes.
        result: Name of the tensor that it returns.
        example: A tensor that it takes.
        trials: Tensors of other sizes.
        free: Names of the axes of any size, by their number.
    """

    ending: str
    module: nn.Module
    given: str
    result: str
    example: Tensor
    trials: list[Tensor]
    free: dict[int, str]


class Encoder(nn.Module):
    """The first half of an autoencoder: patches [B, 1, h, w] to codes [B, D]."""

    def __init__(self, net: Autoencoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, patches: Tensor) -> Tensor:
        """Encode patches."""
        return self.net.encode(patches)


class Decoder(nn.Module):
    """The second half of an autoencoder: codes [B, D] to patches [B, 1, h, w]."""

    def __init__(self, net: Autoencoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, codes: Tensor) -> Tensor:
        """Decode codes."""
        return self.net.decode(codes)


def parts_of(net: Network, multiple: int) -> Iterator[Part]:
    """Yield a network and, of an autoencoder, its encoder and decoder.

    Args:
        net: The network.
        multiple: px of which the sides of images of any size are multiples.
    """
    if net.window is None:
        free = {0: "batch", 2: "height", 3: "width"}
        sizes = [
            (batch, *(side - side % multiple for side in sides))
            for batch, *sides in (_EXAMPLE, *_TRIALS)
        ]
    else:
        sizes = [(batch, net.window, net.window) for batch in (_EXAMPLE[0], *_BATCHES)]
        free = {0: "batch"}
    images = [lattice_images(*size) for size in sizes]
    assert isinstance(net, nn.Module)
    yield Part("", net, "images", "output", images[0], images[1:], free)
    if isinstance(net, Autoencoder):
        yield Part("_encoder", Encoder(net).eval(), "images", "codes", images[0], images[1:], free)
        with torch.no_grad():
            codes = [net.encode(each) for each in images]
        yield Part(
            "_decoder", Decoder(net).eval(), "codes", "output", codes[0], codes[1:], {0: "batch"}
        )


def lattice_images(count: int, height: int, width: int) -> Tensor:
    """Draw noisy square lattices on [-1, 1], [B, 1, H, W]: equal for equal arguments."""
    draws = torch.Generator().manual_seed(0)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    periods = 6.0 + torch.arange(count)[:, None, None]
    waves = [(2 * math.pi * axis / periods).cos() for axis in (rows, columns)]
    noise = torch.randn(count, height, width, generator=draws)
    return (0.4 * (waves[0] + waves[1]) + 0.1 * noise).clamp(-1, 1)[:, None]
