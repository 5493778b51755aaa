"""The stacked autoencoder of Buban and Choi."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stm_experiments.models.interfaces import AutoencoderModule


class StackedAutoencoder(AutoencoderModule):
    """The stacked autoencoder of Buban and Choi: fully connected, with a mirrored decoder.

    Each layer of the encoder has a partner in the decoder that inverts it. Together they are an
    autoencoder of the output of the layer before, so that the pairs can be trained one after the
    other (``training.Stacked``). The paper states neither sizes nor activations; these are ours.

    Args:
        widths: Neurons of the encoder's layers, from the patch to the code.
        window: Patch size, px.

    Raises:
        ValueError: If there is no layer, or a size is less than one.
    """

    label = "stacked autoencoder"
    window: int
    encoder: nn.ModuleList
    decoder: nn.ModuleList

    def __init__(self, widths: Sequence[int] = (1024, 512, 128), window: int = 28) -> None:
        super().__init__()
        if not widths or min(*widths, window) < 1:
            raise ValueError(f"widths and window are at least 1, not {list(widths)}, {window}")
        self.window = window
        sizes = [window**2, *widths]
        self.encoder = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.decoder = nn.ModuleList(map(nn.Linear, sizes[1:], sizes[:-1]))

    def encode(self, patches: Tensor, depth: int | None = None) -> Tensor:
        """Map patches to codes, or to the output of an earlier layer.

        Args:
            patches: [B, 1, w, w] on [-1, 1].
            depth: Number of layers to pass; None: all of them.

        Returns:
            The output of the last of these layers, [B, D].
        """
        values = patches.flatten(1)
        for layer in self.encoder[:depth]:
            values = torch.relu(layer(values))
        return values

    def undo(self, layer: int, values: Tensor) -> Tensor:
        """Map the output of a layer of the encoder [B, D], counted from 0, to its input."""
        values = self.decoder[layer](values)
        return torch.relu(values) if layer > 0 else values

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes [B, D] to patches [B, 1, w, w]."""
        for layer in reversed(range(len(self.decoder))):
            codes = self.undo(layer, codes)
        return codes.view(-1, 1, self.window, self.window)
