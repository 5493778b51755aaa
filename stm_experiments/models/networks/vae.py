"""A variational autoencoder of patches."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stm_experiments.models.interfaces import Inference, NetworkModule


class VAE(NetworkModule):
    """A variational autoencoder of small patches, fully connected (Kingma & Welling, 2014).

    A code is a Gaussian in a small space; how a patch is turned is a part of it like all else.

    Args:
        latent: Numbers in the content code.
        width: Neurons of the widest layers.
        window: Patch size, px.

    Raises:
        ValueError: If a size is less than one.
    """

    label = "VAE"
    window: int
    symmetry = 1

    def __init__(self, latent: int = 2, width: int = 256, window: int = 24) -> None:
        super().__init__()
        if min(latent, width - 1, window) < 1:
            raise ValueError(
                f"latent and window are at least 1, and width 2, not {latent}, {window}, {width}"
            )
        self.window = window
        self.latent = latent
        self.encoder = perceptron([window**2, width, width // 2, 2 * latent])
        self.decoder = perceptron([latent, width // 2, width, window**2])

    def infer(self, patches: Tensor) -> Inference:
        """Patches [B, 1, w, w] on [-1, 1] -> codes and pose; here always the upright one."""
        mean, log_variance = self.encoder(patches.flatten(1)).chunk(2, 1)
        return Inference(mean, log_variance, *upright(mean))

    def generate(self, codes: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """Codes [B, D] in a pose, as in ``Inference``, -> patches [B, 1, w, w]."""
        return self.decoder(codes).view(-1, 1, self.window, self.window)

    def encode(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, w, w] on [-1, 1] -> the mean of their content codes [B, D]."""
        return self.infer(patches).mean

    def angle(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, w, w] -> by how much each is turned, rad, in (-pi, pi], [B].

        From image axis 1 towards axis 0, counted from a pose that training has chosen. Of content
        with an n-fold axis it is one of n equal answers.
        """
        turn = self.infer(patches).turn
        return torch.atan2(turn[:, 1], turn[:, 0])

    def decode(self, codes: Tensor) -> Tensor:
        """Content codes [B, D] -> patches in the upright pose [B, 1, w, w]."""
        return self.generate(codes, *upright(codes))

    def forward(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, w, w] on [-1, 1] -> their reconstructions, turned as they are."""
        seen = self.infer(patches)
        return self.generate(seen.mean, seen.turn, seen.shift)


def upright(codes: Tensor) -> tuple[Tensor, Tensor]:
    """The pose of patches that are neither turned nor shifted, for each code: [B, 2], [B, 2]."""
    shift = codes.new_zeros(len(codes), 2)
    return shift + codes.new_tensor([1.0, 0.0]), shift


def perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Fully connected layers of these widths, with SiLU between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.SiLU()]
    return nn.Sequential(*layers[:-1])
