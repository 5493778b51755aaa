"""A variational autoencoder of patches."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stm_experiments.models.interfaces import AutoencoderModule, Inference


class VAE(AutoencoderModule):
    """A fully connected variational autoencoder of small patches (Kingma & Welling, 2014).

    The code of a patch is a Gaussian in a space of few dimensions. The orientation of the patch is
    a part of the code, like everything else.

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
        """Map patches [B, 1, w, w] on [-1, 1] to codes and poses; here all poses are upright."""
        mean, log_variance = self.encoder(patches.flatten(1)).chunk(2, 1)
        return Inference(mean, log_variance, *upright_poses(mean))

    def generate(self, codes: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """Map codes [B, D] in a pose, as in ``Inference``, to patches [B, 1, w, w]."""
        pixels: Tensor = self.decoder(codes)
        return pixels.view(-1, 1, self.window, self.window)

    def encode(self, patches: Tensor) -> Tensor:
        """Map patches [B, 1, w, w] on [-1, 1] to the means of their content codes [B, D]."""
        return self.infer(patches).mean

    def angle(self, patches: Tensor) -> Tensor:
        """Return the angle by which the content of each patch is turned.

        The angle counts from image axis 1 towards axis 0, from a reference that training chooses.
        For content with an n-fold axis it is one of n equivalent answers.

        Args:
            patches: [B, 1, w, w] on [-1, 1].

        Returns:
            rad, in (-pi, pi], [B].
        """
        turn = self.infer(patches).turn
        return torch.atan2(turn[:, 1], turn[:, 0])

    def decode(self, codes: Tensor) -> Tensor:
        """Map content codes [B, D] to patches [B, 1, w, w] in the upright pose."""
        return self.generate(codes, *upright_poses(codes))

    def forward(self, patches: Tensor) -> Tensor:
        """Reconstruct patches [B, 1, w, w] on [-1, 1] in their own poses."""
        inference = self.infer(patches)
        return self.generate(inference.mean, inference.turn, inference.shift)


def upright_poses(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return turns [B, 2] by the angle 0, and shifts [B, 2] of 0, one for each code [B, D]."""
    shift = codes.new_zeros(codes.shape[0], 2)
    return shift + codes.new_tensor([1.0, 0.0]), shift


def perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Return fully connected layers of these widths, with SiLU between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.SiLU()]
    return nn.Sequential(*layers[:-1])
