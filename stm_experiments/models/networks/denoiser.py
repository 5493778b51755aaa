"""The denoiser of whole images."""

from torch import Tensor
from torch.nn import functional as F

from stm_experiments.models.interfaces import NetworkModule
from stm_experiments.models.networks.unet import UNet


class Denoiser(UNet, NetworkModule):
    """A small residual U-Net for images of any size: it predicts the noise and subtracts it.

    It has no bottleneck, so structures that it cannot explain stay in the image. Each image is
    brought to mean 0 and standard deviation 1 on entry, and back on exit: brightness and contrast
    do not matter, and the mean is kept. Four neighbouring pixels enter as four channels (a quarter
    of the work without loss), and two halvings of the resolution widen the field of view to several
    lattice constants (Ronneberger et al., "U-Net", 2015; residual learning: Zhang et al., "DnCNN",
    2017).

    It removes only a part of a plane wave that fills the whole image, such as a striation or the
    mains hum.

    Args:
        width: Channels of the finest level; the coarser levels have twice and three times as many.

    Raises:
        ValueError: If the width is less than 1.
    """

    label = "denoiser"

    def __init__(self, width: int = 32) -> None:
        if width < 1:
            raise ValueError(f"width is at least 1, not {width}")
        super().__init__(1, 1, width)  # its last layer is zero: training begins at the identity

    def forward(self, images: Tensor) -> Tensor:
        """Map noisy images [B, 1, H, W] to denoised images of the same scale; any H and W."""
        mean = images.mean((1, 2, 3), keepdim=True)
        deviation = images.std((1, 2, 3), keepdim=True) + 1e-6
        height, width = images.shape[-2:]
        # Mirrored borders up to a multiple of the coarsest pixel, 8 px.
        down, right = -height % 8, -width % 8
        reflects = down < height and right < width
        padded = F.pad(images, (0, right, 0, down), "reflect" if reflects else "replicate")
        noise = super().forward((padded - mean) / deviation)[..., :height, :width]
        return images - deviation * (noise - noise.mean((1, 2, 3), keepdim=True))
