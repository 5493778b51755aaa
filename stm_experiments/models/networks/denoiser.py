"""The denoiser of whole images."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.models.networks.plane_waves import strongest_wave
from stm_experiments.models.networks.unet import UNet

_LARGE = 128  # px, the least side of an image that shows a wave as such
_SHARE = 0.15  # of a wave that the network must take for noise by itself
_PROMINENCE = 8.0  # of its peak over the median of the noise's spectrum; white noise alone: 4
_FINISHED = 0.05  # change of the waves that ends the search, share of their deviation


class Denoiser(UNet):
    """A small residual U-Net for whole images of any size: it predicts the noise and takes it off.

    It has no bottleneck to squeeze an image through, so what it cannot explain it leaves alone.
    Each image is brought to mean 0 and deviation 1 on entry and back on leaving: its brightness and
    contrast do not matter, and its mean stays what it was. Four neighbouring pixels enter as four
    channels of one (a quarter of the work, nothing lost), and two halvings of the resolution show
    it several lattice constants at once (Ronneberger et al., "U-Net", 2015; residual learning:
    Zhang et al., "DnCNN", 2017).

    What fills the whole image, a striation or the mains hum, is a sharp peak in the image's Fourier
    transform but weak within the network's sight, and is taken off in part only. So in images of
    128 px and more the strongest plane wave of the noise found is taken off the image itself, which
    then passes the network once more, until no wave is left that the network takes for noise.

    Args:
        width: Channels of the finest level; the coarser ones have twice and three times as many.
        waves: How often a plane wave may be taken off a large image.

    Raises:
        ValueError: If the width is less than one, or ``waves`` negative.
    """

    label = "denoiser"
    window = None

    def __init__(self, width: int = 32, waves: int = 0) -> None:
        if width < 1 or waves < 0:
            raise ValueError(f"width is at least 1 and waves at least 0, not {width}, {waves}")
        super().__init__(1, 1, width)  # its last layer is zero: training begins at the identity
        self.waves = waves

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 1, H, W] -> the same without noise, same shape and scale; any H and W."""
        clean = self.once(images)
        if self.training or min(images.shape[-2:]) < _LARGE:
            return clean
        waves = torch.zeros_like(images)
        busy = list(range(len(images)))
        for _ in range(self.waves):
            found = []
            for i in busy:
                left = images[i, 0] - waves[i, 0]
                wave = strongest_wave(left - clean[i, 0], left)
                known = waves[i, 0] + wave.wave
                taken = wave.share > _SHARE and wave.prominence > _PROMINENCE
                if taken and wave.wave.std() > _FINISHED * known.std():
                    waves[i, 0] = known
                    found.append(i)
            if not (busy := found):
                break
            clean[busy] = self.once(images[busy] - waves[busy])
        return clean

    def once(self, images: Tensor) -> Tensor:
        """One pass: images [B, 1, H, W] -> the same without what the network sees as noise."""
        mean = images.mean((1, 2, 3), keepdim=True)
        deviation = images.std((1, 2, 3), keepdim=True) + 1e-6
        height, width = images.shape[-2:]
        # Mirrored borders up to a multiple of the coarsest pixel, 8 px.
        down, right = -height % 8, -width % 8
        reflects = down < height and right < width
        padded = F.pad(images, (0, right, 0, down), "reflect" if reflects else "replicate")
        noise = super().forward((padded - mean) / deviation)[..., :height, :width]
        return images - deviation * (noise - noise.mean((1, 2, 3), keepdim=True))
