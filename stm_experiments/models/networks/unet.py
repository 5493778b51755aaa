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
        constants: Numbers that enter with each image, beside its pixels.
        homogeneous: Whether to leave all biases out and to take ReLU instead of GELU: an image and
            constants of twice the size give twice the output.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        *,
        constants: int = 0,
        homogeneous: bool = False,
    ) -> None:
        super().__init__()
        fine, middle, coarse = width, 2 * width, 3 * width
        bias = not homogeneous

        def residual(channels: int) -> Residual:
            return Residual(channels, homogeneous=homogeneous)

        self.enter = nn.Conv2d(4 * inputs + constants, fine, 3, padding=1, bias=bias)
        self.down_fine = residual(fine)
        self.to_middle = nn.Conv2d(fine, middle, 2, stride=2, bias=bias)
        self.down_middle = residual(middle)
        self.to_coarse = nn.Conv2d(middle, coarse, 2, stride=2, bias=bias)
        self.bottom = nn.Sequential(residual(coarse), residual(coarse), residual(coarse))
        self.from_coarse = nn.ConvTranspose2d(coarse, middle, 2, stride=2, bias=bias)
        self.up_middle = residual(middle)
        self.from_middle = nn.ConvTranspose2d(middle, fine, 2, stride=2, bias=bias)
        self.up_fine = residual(fine)
        self.leave = nn.Conv2d(fine, 4 * outputs, 3, padding=1, bias=bias)
        nn.init.zeros_(self.leave.weight)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H, W]; borders are repeated up to 8 px."""
        return self.with_constants(images, None)

    def with_constants(self, images: Tensor, constants: Tensor | None) -> Tensor:
        """Map images and their constants [B, constants], if there are any, to outputs."""
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % 8, 0, -height % 8), "replicate")
        pixels = F.pixel_unshuffle(padded, 2)
        if constants is not None:
            maps = constants[:, :, None, None].expand(-1, -1, *pixels.shape[-2:])
            pixels = torch.cat((pixels, maps), 1)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
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
        homogeneous: See ``UNet``.
    """

    def __init__(self, channels: int, *, homogeneous: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=not homogeneous)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=not homogeneous)
        self.activation = F.relu if homogeneous else F.gelu

    def forward(self, images: Tensor) -> Tensor:
        """Map features [B, C, H, W] to features of the same shape."""
        change: Tensor = self.second(self.activation(self.first(images)))
        return images + change
