"""The rotationally invariant VAE of the poster on MoS2."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.models.networks.rvae import RVAE, placed
from stm_experiments.models.networks.vae import perceptron


class RVAEPoster(RVAE):
    """An rVAE whose transformer says the angle as one number, as the poster on MoS2 describes it.

    It learns the angle from pairs of a patch and the turned patch. For a site that looks the same
    after a part of a turn that is ill-posed; this network is there to show what it costs.

    Args:
        latent: Numbers in the content code.
        width: Neurons of the widest layers.
        window: Patch size, px.
        symmetry: Rotation axis of the sites, by which the angle is scored; it is not learned by it.
    """

    label = "poster's recipe"

    def __init__(
        self, latent: int = 2, width: int = 256, window: int = 24, symmetry: int = 3
    ) -> None:
        super().__init__(latent, width, window, symmetry)
        self.multiple = 1
        self.transformer = perceptron([window**2, width, width // 2, 1])

    def pose(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """The unit vector of the angle [B, 2], and no shift [B, 2]."""
        angle = self.transformer(patches.flatten(1))
        return torch.cat([angle.cos(), angle.sin()], 1), angle.new_zeros(len(angle), 2)

    def pose_loss(self, patches: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """The squared difference of two angles and the one by which the patch was turned."""
        turned = self.transformer(placed(patches, turn, torch.zeros_like(shift)).flatten(1))
        angle = torch.atan2(turn[:, 1], turn[:, 0])
        return F.mse_loss((turned - self.transformer(patches.flatten(1)))[:, 0], angle)
