"""A Swin transformer that denoises whole images of any surface."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stm_experiments.core.noise import noise_levels
from stm_experiments.models.baselines.patch_wiener import PatchWiener
from stm_experiments.models.interfaces import NetworkModule

TOKEN = 4  # side of the pixels that one token stands for, px
_FAINTEST = 1e-4  # level of noise over the contrast below which all levels are alike


def split_windows(tokens: Tensor, side: int) -> Tensor:
    """Cut tokens [B, H, W, C] into windows [B, H/side * W/side, side * side, C]."""
    batch, height, width, channels = tokens.shape
    grid = tokens.view(batch, height // side, side, width // side, side, channels)
    return grid.transpose(2, 3).reshape(batch, -1, side * side, channels)


def join_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """Undo ``split_windows`` for an image of ``height`` x ``width`` tokens."""
    batch, _, area, channels = windows.shape
    side = round(area**0.5)
    grid = windows.view(batch, height // side, width // side, side, side, channels)
    return grid.transpose(2, 3).reshape(batch, height, width, channels)


def neighbours_mask(height: int, width: int, side: int, shift: int) -> Tensor:
    """Return which tokens of a window of the shifted grid may see each other.

    The grid is shifted by rolling the image: the last windows of each axis then hold tokens of
    opposite borders, which are no neighbours.

    Args:
        height: Tokens along axis 0.
        width: Tokens along axis 1.
        side: Side of the windows, tokens.
        shift: By how much the image is rolled, tokens.

    Returns:
        [windows, side * side, side * side] bool.
    """
    parts = [(torch.arange(n) >= n - shift).long() for n in (height, width)]
    part = 2 * parts[0][:, None] + parts[1]
    windows = split_windows(part[None, ..., None], side)[0, ..., 0]
    return windows[:, :, None] == windows[:, None, :]


class WindowAttention(nn.Module):
    """Attention among the tokens of a window, with a learnt bias for each relative position.

    Args:
        channels: Channels of a token.
        heads: Attention heads.
        side: Side of a window, tokens.
    """

    offsets: Tensor

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.enter = nn.Linear(channels, 3 * channels)
        self.leave = nn.Linear(channels, channels)
        self.position_bias = nn.Parameter(torch.zeros(heads, (2 * side - 1) ** 2))
        places = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        down, right = (places[:, None] - places + side - 1).unbind(-1)
        self.register_buffer("offsets", down * (2 * side - 1) + right, persistent=False)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Map windows [B, K, N, C] to the same shape.

        Args:
            windows: N tokens of each of K windows.
            mask: Which tokens see each other, [K, N, N] bool; None: all of a window.
        """
        batch, count, tokens, channels = windows.shape
        split = self.enter(windows).view(batch, count, tokens, 3, self.heads, -1)
        query, key, value = split.permute(3, 0, 1, 4, 2, 5)
        bias = self.position_bias[:, self.offsets]
        if mask is not None:
            bias = torch.where(mask[:, None], bias, -torch.inf)
        mixed = F.scaled_dot_product_attention(query, key, value, bias)
        output: Tensor = self.leave(mixed.transpose(2, 3).reshape(batch, count, tokens, channels))
        return output


class SwinBlock(nn.Module):
    """Attention within windows, then two layers on each token; both with a shortcut.

    Args:
        channels: Channels of a token.
        heads: Attention heads.
        side: Side of the windows, tokens.
        shift: By how much the grid of windows is shifted, tokens.
    """

    def __init__(self, channels: int, heads: int, side: int, shift: int) -> None:
        super().__init__()
        self.side, self.shift = side, shift
        self.before_attention = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, side)
        self.before_layers = nn.LayerNorm(channels)
        self.layers = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, H, W, C] to the same shape; H and W are multiples of the side."""
        height, width = tokens.shape[1:3]
        mask = None
        moved = self.before_attention(tokens)
        if self.shift:
            moved = moved.roll((-self.shift, -self.shift), (1, 2))
            mask = neighbours_mask(height, width, self.side, self.shift).to(tokens.device)
        seen = self.attention(split_windows(moved, self.side), mask)
        change = join_windows(seen, height, width).roll((self.shift, self.shift), (1, 2))
        tokens = tokens + change
        output: Tensor = tokens + self.layers(self.before_layers(tokens))
        return output


class SwinTransformer(nn.Module):
    """Swin blocks between two convolutions; every other block shifts the windows by half.

    Liu et al., "Swin Transformer", ICCV 2021; for restoration: Liang et al., "SwinIR", 2021.

    Args:
        inputs: Channels in.
        outputs: Channels out; all zero before training.
        width: Channels of a token.
        depth: Number of blocks.
        heads: Attention heads.
        side: Side of the windows, tokens.
    """

    def __init__(
        self, inputs: int, outputs: int, *, width: int, depth: int, heads: int, side: int
    ) -> None:
        super().__init__()
        self.side = side
        self.enter = nn.Conv2d(inputs, width, 3, padding=1)
        self.blocks = nn.Sequential(
            *(SwinBlock(width, heads, side, n % 2 * (side // 2)) for n in range(depth))
        )
        self.norm = nn.LayerNorm(width)
        self.merge = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, outputs, 3, padding=1, bias=False)
        nn.init.zeros_(self.leave.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H, W]; H and W are multiples of the side."""
        entered = self.enter(maps)
        tokens = self.norm(self.blocks(entered.permute(0, 2, 3, 1)))
        output: Tensor = self.leave(entered + self.merge(tokens.permute(0, 3, 1, 2)))
        return output


class SwinDenoiser(NetworkModule):
    """A Swin transformer for images of any size, with the inputs of ``SurfaceDenoiser``.

    It predicts the noise and subtracts it. A token stands for 4 x 4 pixels of the image and of the
    Wiener filter's first estimate; the levels of the noise (``core.noise.noise_levels``) enter with
    each token. Transformers need numbers near 1: heights are divided by the contrast of the image,
    and what the first estimate removes by its standard deviation, which also multiplies the
    output. An image of twice the contrast with twice the noise therefore gives twice the output.

    Args:
        width: Channels of a token.
        depth: Number of blocks.
        heads: Attention heads, a divisor of the width.
        side: Side of the windows, tokens of 4 px.
        patch: Side of the patches of the first estimate, px.

    Raises:
        ValueError: If a number makes no sense.
    """

    label = "Swin denoiser"

    def __init__(
        self, width: int = 64, depth: int = 4, heads: int = 2, side: int = 8, patch: int = 13
    ) -> None:
        if min(width, depth, heads) < 1 or width % heads:
            raise ValueError(
                "width, depth and heads are at least 1 and the width is a multiple of the heads, "
                f"not {width}, {depth} and {heads}"
            )
        if side < 2 or side % 2:
            raise ValueError(f"the side of the windows is even and at least 2, not {side}")
        super().__init__()
        self.first = PatchWiener(patch)
        # Its last layer is zero: training begins at the identity.
        self.swin = SwinTransformer(
            3 * TOKEN**2 + 4, TOKEN**2, width=width, depth=depth, heads=heads, side=side
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map noisy images [B, 1, H, W] to denoised images of the same scale; any H and W."""
        with torch.no_grad():
            maps, levels, removed = self._inputs(images)
        height, width = images.shape[-2:]
        multiple = TOKEN * self.swin.side
        down, right = -height % multiple, -width % multiple
        reflects = down < height and right < width
        padded = F.pad(maps, (0, right, 0, down), "reflect" if reflects else "replicate")
        pixels = F.pixel_unshuffle(padded, TOKEN)
        constants = levels[:, :, None, None].expand(-1, -1, *pixels.shape[-2:])
        output = F.pixel_shuffle(self.swin(torch.cat((pixels, constants), 1)), TOKEN)
        noise = removed * output[..., :height, :width]
        return images - (noise - noise.mean((1, 2, 3), keepdim=True))

    def _inputs(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps [B, 3, H, W] near 1, logarithms of levels [B, 4] and the scale of the output.

        The scale is the standard deviation of what the first estimate removes, [B, 1, 1, 1].
        """
        tiny = torch.finfo(images.dtype).tiny
        centred = images - images.mean((1, 2, 3), keepdim=True)
        first = self.first(centred)
        contrast = centred.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=tiny)
        change = centred - first
        removed = change.square().mean((1, 2, 3), keepdim=True).sqrt()
        relative = noise_levels(images) / contrast.flatten(1)
        maps = (centred / contrast, first / contrast, change / removed.clamp(min=tiny))
        return torch.cat(maps, 1), relative.clamp(min=_FAINTEST).log(), removed
