"""The denoiser of whole images of any surface."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.noise import noise_levels
from stm_experiments.models.interfaces import NetworkModule
from stm_experiments.models.networks.unet import UNet


class SurfaceDenoiser(NetworkModule):
    """A residual U-Net for images of any size that measures the noise of its image first.

    It predicts the noise and subtracts it. Beside the pixels it gets the levels of the noise in
    four bands of the frequency along the fast axis (``core.noise.noise_levels``), so that it need
    not guess whether a faint structure is noise: where there is no noise between the lines, a wave
    or a step stays. It has no biases: an image of twice the contrast with twice the noise gives
    twice the output, and without noise there is little that it can subtract (Mohan et al., "Robust
    and interpretable blind image denoising via bias-free convolutional neural networks", 2020;
    levels as a map: Zhang et al., "FFDNet", 2018).

    Args:
        width: Channels of the finest level; the coarser levels have twice and three times as many.

    Raises:
        ValueError: If the width is less than 1.
    """

    label = "surface denoiser"

    def __init__(self, width: int = 24) -> None:
        if width < 1:
            raise ValueError(f"width is at least 1, not {width}")
        super().__init__()
        # Its last layer is zero: training begins at the identity.
        self.unet = UNet(1, 1, width, constants=4, homogeneous=True)

    def forward(self, images: Tensor) -> Tensor:
        """Map noisy images [B, 1, H, W] to denoised images of the same scale; any H and W."""
        with torch.no_grad():
            levels = noise_levels(images)
        mean = images.mean((1, 2, 3), keepdim=True)
        height, width = images.shape[-2:]
        # Mirrored borders up to a multiple of the coarsest pixel, 8 px.
        down, right = -height % 8, -width % 8
        reflects = down < height and right < width
        padded = F.pad(images - mean, (0, right, 0, down), "reflect" if reflects else "replicate")
        noise = self.unet.with_constants(padded, levels)[..., :height, :width]
        return images - (noise - noise.mean((1, 2, 3), keepdim=True))
