"""Linear layers that turn with the patch: of each neuron there are eight, one for each turn.

The values of a layer are [B, 8 C], eight turns of C kinds of neurons. If the patch is turned or
mirrored, the eight change places (Cohen & Welling, Group equivariant convolutional networks, ICML
2016). The weights of the eight are the same numbers.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def turned(squares: Tensor) -> Tensor:
    """Return the eight turns and mirror images of squares [..., h, h], [8, ..., h, h]."""
    kinds = (squares, squares.flip(-1))
    return torch.stack([kind.rot90(turns, (-2, -1)) for kind in kinds for turns in range(4)])


def _turns_between() -> Tensor:
    """Return the number of the turn k with turn i after k = turn j, [8, 8] by (i, j)."""
    places = turned(torch.arange(9).view(3, 3)).flatten(1)
    products = places[:, places].transpose(0, 1)  # [i, k]: turn i after k, as a permutation
    product = (products[:, :, None] == places).all(-1).int().argmax(-1)
    return product.argsort(1)


BETWEEN = _turns_between()


class PatchLinear(nn.Module):
    """The first layer: filters of the patch, each in eight turns.

    Args:
        window: Patch size, px.
        kinds: Kinds of neurons, C.
    """

    def __init__(self, window: int, kinds: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(kinds, window, window))
        self.bias = nn.Parameter(torch.empty(kinds))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, as ``torch.nn.Linear`` does."""
        _draw(self.weight, self.weight[0].numel(), self.bias)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches [B, 1, w, w] to values [B, 8 C]."""
        filters = turned(self.weight).flatten(2).flatten(0, 1)  # [8 C, w w]
        return F.linear(patches.flatten(1), filters, self.bias.repeat(8))


class DihedralLinear(nn.Module):
    """A layer in between: values of eight turns to values of eight turns.

    Args:
        inputs: Kinds of neurons of the layer before, C.
        outputs: Kinds of neurons of this layer, D.
    """

    between: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.register_buffer("between", BETWEEN, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, as ``torch.nn.Linear`` does."""
        _draw(self.weight, 8 * self.weight.shape[2], self.bias)

    def forward(self, values: Tensor) -> Tensor:
        """Map values [B, 8 C] to values [B, 8 D]."""
        weight = self.weight[self.between].transpose(1, 2)  # [8, D, 8, C]
        return F.linear(values, weight.flatten(2).flatten(0, 1), self.bias.repeat(8))


class DihedralMean(nn.Module):
    """The mean over the eight turns, which no turn of the patch changes."""

    def forward(self, values: Tensor) -> Tensor:
        """Map values [B, 8 C] to [B, C]."""
        means: Tensor = values.unflatten(1, (8, -1)).mean(1)
        return means


def turning_encoder(window: int, width: int, *head: nn.Module) -> nn.Sequential:
    """Build an encoder of patches [B, 1, w, w] that turns with them up to its head.

    Args:
        window: Patch size, px.
        width: Neurons of the widest layers, a multiple of 16.
        head: Last layers; they get [B, width / 2], eight turns of ``width / 16`` kinds.
    """
    kinds = width // 8
    return nn.Sequential(
        PatchLinear(window, kinds),
        nn.SiLU(),
        DihedralLinear(kinds, kinds),
        nn.SiLU(),
        DihedralLinear(kinds, kinds // 2),
        nn.SiLU(),
        *head,
    )


def _draw(weight: Tensor, inputs: int, bias: Tensor) -> None:
    """Draw the weights and biases of neurons with this number of inputs."""
    bound = 1 / math.sqrt(inputs)
    nn.init.uniform_(weight, -bound, bound)
    nn.init.uniform_(bias, -bound, bound)
