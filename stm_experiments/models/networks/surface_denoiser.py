"""The denoiser of whole images of any surface."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.noise import noise_levels
from stm_experiments.models.baselines.patch_wiener import PatchWiener
from stm_experiments.models.interfaces import NetworkModule
from stm_experiments.models.networks.unet import UNet


class SurfaceDenoiser(NetworkModule):
    """A residual U-Net for images of any size that first measures the noise and the crystal.

    It predicts the noise and subtracts it. Beside the pixels it gets the levels of the noise in
    four bands of the frequency along the fast axis (``core.noise.noise_levels``), so that it need
    not guess whether a faint structure is noise: where there is no noise between the lines, a wave
    or a step stays. It also gets a first estimate by the Wiener filter of the image's own patches,
    which knows what repeats itself further away than the network's field of view ("Fast, nonlocal
    and neural", arXiv 2403.03488). It has no biases: an image of twice the contrast with twice the
    noise gives twice the output, and without noise there is little that it can subtract (Mohan et
    al., "Robust and interpretable blind image denoising via bias-free convolutional neural
    networks", 2020; levels as a map: Zhang et al., "FFDNet", 2018).

    Args:
        width: Channels of the finest level; the coarser levels have twice and three times as many.
        patch: Side of the patches of the first estimate, px.

    Raises:
        ValueError: If the width is less than 1.
    """

    label = "surface denoiser"

    def __init__(self, width: int = 24, patch: int = 13) -> None:
        if width < 1:
            raise ValueError(f"width is at least 1, not {width}")
        super().__init__()
        self.first = PatchWiener(patch)
        # Its last layer is zero: training begins at the identity.
        self.unet = UNet(2, 1, width, constants=4, homogeneous=True)

    def forward(self, images: Tensor) -> Tensor:
        """Map noisy images [B, 1, H, W] to denoised images of the same scale; any H and W."""
        with torch.no_grad():
            levels = noise_levels(images)
            both = torch.cat((images, self.first(images)), 1)
        both = both - images.mean((1, 2, 3), keepdim=True)
        height, width = images.shape[-2:]
        # Mirrored borders up to a multiple of the coarsest pixel, 8 px.
        down, right = -height % 8, -width % 8
        reflects = down < height and right < width
        padded = F.pad(both, (0, right, 0, down), "reflect" if reflects else "replicate")
        noise = self.unet.with_constants(padded, levels)[..., :height, :width]
        return images - (noise - noise.mean((1, 2, 3), keepdim=True))
