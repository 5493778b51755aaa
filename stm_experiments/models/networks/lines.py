"""Lines of an image that stand out, and gaps in lines as masks."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_NEAR = 25  # px along a line over which its roughness is a mean
_ALL = 0.9  # share of a line that is rough where all of it is lost


def roughness(x: Tensor) -> Tensor:
    """How far each line is rougher, around each pixel, than the other lines are there.

    The mean absolute second difference along the line over ``_NEAR`` px; its excess over the median
    down the column in median absolute deviations, compressed: log(1 + excess / 6), and 0 where it
    is below the median, [B, 1, H, W].
    """
    bent = F.pad(x.diff(n=2, dim=3).abs(), (1, 1, 0, 0), "replicate")
    near = min(_NEAR, bent.shape[3] // 2 * 2 - 1)
    each = F.avg_pool2d(bent, (1, near), 1, (0, near // 2), count_include_pad=False)
    excess = each - each.median(2, keepdim=True).values
    usual = excess.abs().median(2, keepdim=True).values + 1e-6
    return (excess.clamp(min=0) / (6 * usual)).log1p()


def whole_lines(x: Tensor) -> Tensor:
    """Lines that are rougher than the others nearly all along, [B, 1, H, W] bool."""
    rough = roughness(x) > math.log(2)  # 6 median absolute deviations
    return (rough.to(x).mean(3, keepdim=True) > _ALL).expand(x.shape)


def moved(found: Tensor) -> Tensor:
    """Gaps on good lines: the same ones some lines further down, clear of others and borders."""
    near = F.max_pool2d(found.float(), (7, 1), 1, (3, 0)) > 0
    near[:, :, :3] = near[:, :, -3:] = True
    steps = range(3, max(4, min(found.shape[2], 64)))
    return found.roll(min(steps, key=lambda n: int((found.roll(n, 2) & near).sum())), 2) & ~near


def too_long(found: Tensor, longest: int) -> Tensor:
    """Where more than ``longest`` pixels on end down a column are damaged, [B, 1, H, W] bool."""
    if found.shape[2] <= longest:
        return torch.zeros_like(found)
    # A pixel is in a long run if some window of longest + 1 rows that holds it is damaged whole.
    damaged = found.float()
    whole = -F.max_pool2d(-damaged, (longest + 1, 1), 1)
    return F.max_pool2d(F.pad(whole, (0, 0, longest, longest)), (longest + 1, 1), 1) > 0
