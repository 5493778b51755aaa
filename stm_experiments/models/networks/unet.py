"""A residual U-Net of three levels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UNet(nn.Module):
    """A residual U-Net of three levels; four neighbouring pixels enter as channels of one.

    Args:
        inputs: Channels in.
        outputs: Channels out; all zero before training, apart from their bias.
        width: Channels of the finest level; the coarser ones have twice and three times as many.
    """

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        fine, middle, coarse = width, 2 * width, 3 * width
        self.enter = nn.Conv2d(4 * inputs, fine, 3, padding=1)
        self.down_fine = Residual(fine)
        self.to_middle = nn.Conv2d(fine, middle, 2, stride=2)
        self.down_middle = Residual(middle)
        self.to_coarse = nn.Conv2d(middle, coarse, 2, stride=2)
        self.bottom = nn.Sequential(Residual(coarse), Residual(coarse), Residual(coarse))
        self.from_coarse = nn.ConvTranspose2d(coarse, middle, 2, stride=2)
        self.up_middle = Residual(middle)
        self.from_middle = nn.ConvTranspose2d(middle, fine, 2, stride=2)
        self.up_fine = Residual(fine)
        self.leave = nn.Conv2d(fine, 4 * outputs, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H, W]; borders are repeated up to 8 px."""
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % 8, 0, -height % 8), "replicate")
        pixels = F.pixel_unshuffle(padded, 2).contiguous(memory_format=torch.channels_last)
        fine = self.down_fine(self.enter(pixels))
        middle = self.down_middle(self.to_middle(fine))
        coarse = self.bottom(self.to_coarse(middle))
        middle = self.up_middle(middle + self.from_coarse(coarse))
        fine = self.up_fine(fine + self.from_middle(middle))
        output: Tensor = F.pixel_shuffle(self.leave(fine), 2)
        return output[..., :height, :width]


class Residual(nn.Module):
    """Two convolutions with a shortcut.

    Args:
        channels: Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Map features [B, C, H, W] to features of the same shape."""
        change: Tensor = self.second(F.gelu(self.first(images)))
        return images + change
