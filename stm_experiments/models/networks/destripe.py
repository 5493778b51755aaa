"""The network that finds and repairs stripes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stm_experiments.models.interfaces import NetworkModule
from stm_experiments.models.networks.gaps import fill_gaps, level_runs
from stm_experiments.models.networks.unet import UNet

# Part of what was trained: other values need other weights.
_CLIP = 6.0  # largest distance of an input value from the median, standard deviations
_NEIGHBOURHOOD = 25  # px along a line over which its roughness is averaged
_LOG_DEVIATIONS = (-7.0, 1.0)  # least and largest logarithm of the expected error


class Estimate(NamedTuple):
    """The surface in the gaps of images of standard deviation 1.

    Attributes:
        surface: [B, 1, H, W].
        deviation: Standard deviation of its expected error, [B, 1, H, W].
    """

    surface: Tensor
    deviation: Tensor


class ClassicalEstimates(NamedTuple):
    """The surface in the gaps of images by classical methods, [B, 1, H, W] each.

    Attributes:
        steady: The filling with the least second differences.
        smooth: The filling with the least fourth differences.
        levelled: Each damaged run shifted to the height of ``steady``.
    """

    steady: Tensor
    smooth: Tensor
    levelled: Tensor


class Destripe(NetworkModule):
    """Two small U-Nets: the finder marks damaged pixels, the repairer fills them.

    The finder looks for pixels at which something other than the surface was recorded. The repairer
    receives three classical estimates of these pixels: it weighs them and adds a correction in
    units of the error that it expects.

    ``restoration.stripe_repair.StripeRepair`` checks what the finder marks, and protects gaps that
    are too wide to be repaired.

    Args:
        width: Channels of the repairer's finest level; the coarser levels have twice and three
            times as many.
        finder_width: The same for the finder.

    Raises:
        ValueError: If a width is less than 1.
    """

    label = "destripe"

    def __init__(self, width: int = 16, finder_width: int = 12) -> None:
        super().__init__()
        if min(width, finder_width) < 1:
            raise ValueError(f"width and finder_width are at least 1, not {width}, {finder_width}")
        self.finder = UNet(2, 1, finder_width)
        self.repairer = UNet(5, 5, width)
        # Training begins with no pixel marked, and with the steady filling unchanged.
        nn.init.constant_(self.finder.leave.bias, -2.0)  # type: ignore[arg-type]
        with torch.no_grad():
            self.repairer.leave.bias.view(5, 4)[0] = 2.0  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Tensor:
        """Repair all pixels that the finder marks in images [B, 1, H, W]; any H and W."""
        middle, unit = self.scale(images)
        x = (images - middle) / unit
        damaged = self.logits(x) > 0
        return torch.where(damaged, middle + unit * self.refine(x, damaged).surface, images)

    @staticmethod
    def scale(images: Tensor) -> tuple[Tensor, Tensor]:
        """Return median and half the range from the 16th to the 84th percentile, [B, 1, 1, 1] each.

        Stripes hardly change them, unless they cover most of the image.
        """
        ends = torch.tensor((0.16, 0.5, 0.84), dtype=images.dtype, device=images.device)
        # torch.quantile takes no more than 16 million values.
        values = images.flatten(1)
        values = values[:, :: max(1, values.shape[1] // 2**20)]
        low, middle, high = torch.quantile(values, ends, dim=1)[..., None, None, None]
        return middle, (high - low) / 2 + 1e-6

    def logits(self, x: Tensor) -> Tensor:
        """Map images of standard deviation 1 to log odds of damage, both [B, 1, H, W]."""
        odds: Tensor = self.finder(torch.cat((x.clamp(-_CLIP, _CLIP), roughness(x)), 1))
        return odds

    def refine(self, x: Tensor, damaged: Tensor, kind: Tensor | None = None) -> Estimate:
        """Estimate the surface at damaged pixels.

        Args:
            x: Images of standard deviation 1, [B, 1, H, W].
            damaged: Pixels to estimate, [B, 1, H, W] bool.
            kind: Where its value changes along a line, one damaged run ends and another begins,
                [B, 1, H, W] bool; None: nowhere.
        """
        classical = self.estimates(x, damaged, kind)
        steady = classical.steady
        differences = (other - steady for other in (classical.smooth, classical.levelled, x))
        inputs = (steady, *differences, damaged.to(x))
        weights, correction, log_deviation = self.repairer(
            torch.cat([each.clamp(-_CLIP, _CLIP) for each in inputs], 1)
        ).split((3, 1, 1), 1)
        deviation = log_deviation.clamp(*_LOG_DEVIATIONS).exp()
        surface = (weights.softmax(1) * torch.cat(classical, 1)).sum(1, keepdim=True)
        return Estimate(surface + deviation.detach() * correction, deviation)

    @staticmethod
    def estimates(x: Tensor, damaged: Tensor, kind: Tensor | None = None) -> ClassicalEstimates:
        """Return the classical estimates, computed on the CPU; arguments as for ``refine``.

        Outside of the damaged pixels they equal ``x``.
        """
        # All images side by side, with an undamaged column between them, are one wide image.
        wide, gaps, kinds = (
            F.pad(each, (0, 1))[:, 0].permute(1, 0, 2).flatten(1).cpu().numpy()
            for each in (x.detach(), damaged, damaged if kind is None else kind)
        )
        steady = fill_gaps(wide, gaps, 2)
        fillings = (steady, fill_gaps(wide, gaps, 4), level_runs(wide, gaps, steady, kinds))
        count, _, height, width = x.shape
        split = torch.from_numpy(np.stack(fillings)).to(x).view(3, height, count, width + 1)
        return ClassicalEstimates(*split[..., :width].permute(0, 2, 1, 3)[:, :, None])


def roughness(x: Tensor) -> Tensor:
    """Measure how much rougher each line is, around each pixel, than the other lines are there.

    The mean absolute second difference along the line over 25 px is compared with its median down
    the column: the excess in median absolute deviations m is compressed to log(1 + m / 6), and is 0
    below the median.

    Args:
        x: Images, [B, 1, H, W].

    Returns:
        [B, 1, H, W].
    """
    bent = F.pad(x.diff(n=2, dim=3).abs(), (1, 1, 0, 0), "replicate")
    near = min(_NEIGHBOURHOOD, bent.shape[3] // 2 * 2 - 1)
    mean = F.avg_pool2d(bent, (1, near), 1, (0, near // 2), count_include_pad=False)
    excess = mean - mean.median(2, keepdim=True).values
    usual = excess.abs().median(2, keepdim=True).values + 1e-6
    return (excess.clamp(min=0) / (6 * usual)).log1p()
