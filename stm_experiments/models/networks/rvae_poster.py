"""The rotationally invariant VAE of the poster on MoS2."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.models.networks.rvae import RVAE, move
from stm_experiments.models.networks.vae import perceptron


class RVAEPoster(RVAE):
    """An rVAE whose transformer outputs the angle as one number, as in the poster on MoS2.

    It learns the angle from pairs of a patch and the turned patch. This is an ill-posed task for a
    site that looks the same after a part of a turn; the network shows what that costs.

    Args:
        latent: Numbers in the content code.
        width: Neurons of the widest layers.
        window: Patch size, px.
        symmetry: n of the rotation axis of the sites; only for the scores of the angle, not for
            training.
    """

    label = "poster's recipe"

    def __init__(
        self, latent: int = 2, width: int = 256, window: int = 24, symmetry: int = 3
    ) -> None:
        super().__init__(latent, width, window, symmetry)
        self.multiple = 1
        self.transformer = perceptron([window**2, width, width // 2, 1])

    def pose(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Map patches [B, 1, w, w] to unit vectors of their angles [B, 2], and shifts of 0."""
        angle = self.transformer(patches.flatten(1))
        return torch.cat([angle.cos(), angle.sin()], 1), angle.new_zeros(angle.shape[0], 2)

    def pose_loss(self, patches: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """Return the squared difference of the change of the angle and the angle of the turn."""
        moved = self.transformer(move(patches, turn, torch.zeros_like(shift)).flatten(1))
        angle = torch.atan2(turn[:, 1], turn[:, 0])
        return F.mse_loss((moved - self.transformer(patches.flatten(1)))[:, 0], angle)
