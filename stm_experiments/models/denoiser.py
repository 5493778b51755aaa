import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stm_experiments.models.plane_waves import strongest_wave

_LARGE = 128  # px, the least side of an image that shows a wave as such
_SHARE = 0.15  # of a wave that the network must take for noise by itself
_PROMINENCE = 8.0  # of its peak over the median of the noise's spectrum; white noise alone: 4
_FINISHED = 0.05  # change of the waves that ends the search, share of their deviation


class Denoiser(nn.Module):
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
        blocks: Residual blocks at each level, on the way down and again on the way up; three times
            as many at the coarsest.
        waves: How often a plane wave may be taken off a large image.

    Raises:
        ValueError: If a size is less than one, or ``waves`` negative.
    """

    label = "denoiser"
    window = None

    def __init__(self, width: int = 32, blocks: int = 1, waves: int = 0) -> None:
        super().__init__()
        if min(width, blocks) < 1 or waves < 0:
            raise ValueError(
                f"width and blocks are at least 1 and waves at least 0, not {width}, {blocks}, "
                f"{waves}"
            )
        self.waves = waves
        fine, middle, coarse = width, 2 * width, 3 * width

        def level(channels: int) -> nn.Sequential:
            return nn.Sequential(*(Residual(channels) for _ in range(blocks)))

        self.enter = nn.Conv2d(4, fine, 3, padding=1)
        self.down_fine = level(fine)
        self.to_middle = nn.Conv2d(fine, middle, 2, stride=2)
        self.down_middle = level(middle)
        self.to_coarse = nn.Conv2d(middle, coarse, 2, stride=2)
        self.bottom = nn.Sequential(level(coarse), level(coarse), level(coarse))
        self.from_coarse = nn.ConvTranspose2d(coarse, middle, 2, stride=2)
        self.up_middle = level(middle)
        self.from_middle = nn.ConvTranspose2d(middle, fine, 2, stride=2)
        self.up_fine = level(fine)
        self.leave = nn.Conv2d(fine, 4, 3, padding=1)
        nn.init.zeros_(self.leave.weight)  # training begins at the identity
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

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
                if wave.share > _SHARE and wave.prominence > _PROMINENCE:
                    waves[i, 0] += wave.wave
                    if wave.wave.std() > _FINISHED * waves[i].std():
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
        noise = self.noise((padded - mean) / deviation)[..., :height, :width]
        return images - deviation * (noise - noise.mean((1, 2, 3), keepdim=True))

    def noise(self, images: Tensor) -> Tensor:
        """The noise in images of mean 0 and deviation 1, [B, 1, H, W]; H, W multiples of 8 px."""
        pixels = F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last)
        fine = self.down_fine(self.enter(pixels))
        middle = self.down_middle(self.to_middle(fine))
        coarse = self.bottom(self.to_coarse(middle))
        middle = self.up_middle(middle + self.from_coarse(coarse))
        fine = self.up_fine(fine + self.from_middle(middle))
        return F.pixel_shuffle(self.leave(fine), 2)


class Residual(nn.Module):
    """Two convolutions beside a shortcut.

    Args:
        channels: Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Features [B, C, H, W] -> features, same shape."""
        return images + self.second(F.gelu(self.first(images)))
