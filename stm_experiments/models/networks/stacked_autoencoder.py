"""The stacked autoencoder of Buban and Choi."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stm_experiments.models.interfaces import NetworkModule


class StackedAutoencoder(NetworkModule):
    """The stacked autoencoder of Buban and Choi: fully connected layers, each way the same ones.

    Each layer of the encoder has its partner in the decoder, which undoes it: together they are an
    autoencoder of what the layers before make of a patch, and can be trained as one, layer after
    layer (``objectives.Stacked``). The paper names neither sizes nor activations; these are ours.

    Args:
        widths: Neurons of the encoder's layers, from the patch to the code.
        window: Patch size, px.

    Raises:
        ValueError: If there is no layer, or a size is less than one.
    """

    label = "stacked autoencoder"
    window: int

    def __init__(self, widths: Sequence[int] = (1024, 512, 128), window: int = 28) -> None:
        super().__init__()
        if not widths or min(*widths, window) < 1:
            raise ValueError(f"widths and window are at least 1, not {list(widths)}, {window}")
        self.window = window
        sizes = [window**2, *widths]
        self.encoder = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.decoder = nn.ModuleList(map(nn.Linear, sizes[1:], sizes[:-1]))

    def encode(self, patches: Tensor, depth: int | None = None) -> Tensor:
        """What the layers make of patches.

        Args:
            patches: [B, 1, w, w] on [-1, 1].
            depth: Through how many layers; None: all of them.

        Returns:
            The code, or what that layer gives, [B, D].
        """
        values = patches.flatten(1)
        for layer in self.encoder[:depth]:
            values = torch.relu(layer(values))
        return values

    def undo(self, layer: int, values: Tensor) -> Tensor:
        """From the output of a layer of the encoder, counted from 0, [B, D], to its input."""
        values = self.decoder[layer](values)
        return torch.relu(values) if layer > 0 else values

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, D] -> patches [B, 1, w, w]."""
        for layer in reversed(range(len(self.decoder))):
            codes = self.undo(layer, codes)
        return codes.view(-1, 1, self.window, self.window)

    def forward(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, w, w] on [-1, 1] -> their reconstructions, same shape."""
        return self.decode(self.encode(patches))
