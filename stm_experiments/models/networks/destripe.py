"""The network that repairs stripes."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stm_experiments.core.noise import noise_sigma
from stm_experiments.models.networks.gaps import fill_gaps, level_runs
from stm_experiments.models.networks.lines import moved, roughness, too_long, whole_lines
from stm_experiments.models.networks.unet import UNet

_FARTHEST = 6.0  # deviations from the median to which what the network sees is cut
_ALONG = 15  # px along a line of which the second look takes the mean
_INDEPENDENT = 6.0  # pixels that those count for
_OBVIOUS = -4.0  # log-likelihood of the surface at which one pixel is damaged by itself
_ANYTHING = 1.5  # deviation of what is recorded in a stripe, in deviations of the image
_SURE = 0.5  # expected error up to which the second look decides, deviations
_LEAST_NOISE = 0.02  # deviations
_MUCH = 0.15  # share of a line
_MARGIN = 2  # px at the upper and the lower border
_DOUBT = -3.0  # log odds from which a pixel beside a stripe is suspected too
_REACH = 16  # px along a line within which more damage is suspected
_FEWEST = 8  # px of damage within that reach
_LENGTHS = (1, 2, 4, 8)  # px, of gaps that are judged apart
_ENOUGH = 100  # pixels on which an estimate can be judged
_CLEARLY = 0.9  # mean squared error over the network's at which a classical estimate is closer
_SHARPEST = -7.0  # logarithms of the least and the largest uncertainty, deviations
_BLUNTEST = 1.0


class Repair(NamedTuple):
    """What was found in an image and what would stand there.

    Attributes:
        output: The image with its stripes repaired, [B, 1, H, W].
        repaired: Where it was changed, [B, 1, H, W] bool; elsewhere the output is the input.
        left: Where damage was found that is too wide to be repaired, [B, 1, H, W] bool.
        deviation: Expected error, standard deviation, in the images' unit, [B, 1, H, W]: 0 where
            nothing was found.
    """

    output: Tensor
    repaired: Tensor
    left: Tensor
    deviation: Tensor


class Destripe(nn.Module):
    """Finds stripes, whole lines or runs of pixels, and repairs these; leaves all else alone.

    Two small U-Nets. The first one looks for pixels at which something else than the surface was
    recorded. The second one is shown three classical estimates of them, the smoothest filling of
    the gaps by two measures of smoothness and each run shifted to that height, and makes one of the
    three: it weighs them and adds a correction in units of the error that it expects. Then comes a
    second look: found pixels that agree with what would stand in their place are let go, and the
    gaps that remain are repaired anew. Where nothing is found the output is the input, bit by bit.
    Damage of more than ``longest`` lines on end, half of that at a border, is found and left as it
    is: what stood there would be invented.

    Args:
        width: Channels of the finest level of the network that repairs; the coarser ones have twice
            and three times as many.
        finder_width: The same of the network that finds.
        longest: Most lines on end that are repaired, px.
        threshold: Probability of damage from which a pixel is taken for damaged.

    Raises:
        ValueError: If a size is less than one or the threshold not between 0 and 1.
    """

    label = "destripe"
    window = None

    def __init__(
        self, width: int = 16, finder_width: int = 12, longest: int = 24, threshold: float = 0.5
    ) -> None:
        super().__init__()
        if min(width, finder_width, longest) < 1 or not 0 < threshold < 1:
            raise ValueError(
                "width, finder_width and longest are at least 1, the threshold between 0 and 1, "
                f"not {width}, {finder_width}, {longest}, {threshold}"
            )
        self.longest = longest
        self.threshold = threshold
        self.finder = UNet(2, 1, finder_width)
        self.repairer = UNet(5, 5, width)
        # Training begins with nothing found, and with the smoothest filling as it is.
        nn.init.constant_(self.finder.leave.bias, -2.0)  # type: ignore[arg-type]
        with torch.no_grad():
            self.repairer.leave.bias.view(5, 4)[0] = 2.0  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 1, H, W] -> without stripes, same shape and scale; any H and W."""
        return self.repair(images).output

    def uncertainty(self, images: Tensor) -> Tensor:
        """Expected error of ``forward``, standard deviation, [B, 1, H, W]; 0 outside of stripes."""
        return self.repair(images).deviation

    def repair(self, images: Tensor) -> Repair:
        """Images [B, 1, H, W] -> all that was found and done."""
        middle, unit = self.scale(images)
        x = (images - middle) / unit
        odds = self.logits(x) - math.log(self.threshold / (1 - self.threshold))
        found = self.confirmed(x, odds)
        made, deviation = self.proven(x, found, odds > 0)
        half = self.longest // 2  # at a border there is one side only to go by
        beyond = F.pad(found.to(x), (0, 0, half, half), "replicate") > 0
        left = too_long(beyond, self.longest)[:, :, half : half + x.shape[2]]
        repaired = found & ~left
        return Repair(
            output=torch.where(repaired, middle + unit * made, images),
            repaired=repaired,
            left=left,
            # What is left is wrong by itself, and nothing is known of the surface under it.
            deviation=unit * torch.where(left, x.abs() + 1, deviation) * found,
        )

    def confirmed(self, x: Tensor, odds: Tensor) -> Tensor:
        """The second look: what is likely to be damaged and does not agree with its surroundings.

        Suspected is what the first look found, what lies within ``_REACH`` px of it along its line,
        and all of a line of which much was found or nearly all is rough. A pixel is more likely in
        its place if the surface was recorded (normal, the expected error and the image's white
        noise wide) or if anything was (normal, ``_ANYTHING`` wide). The mean of that along the line
        counts as much as ``_INDEPENDENT`` pixels, beside the odds of the first look; it does not
        count where the network is not sure of what stands there. A pixel that is far off the
        surface needs no others: so stripes are followed to their ends.

        Args:
            x: Images of deviation 1, [B, 1, H, W].
            odds: Log odds of damage by the first look, [B, 1, H, W].

        Returns:
            Damaged pixels, [B, 1, H, W] bool.
        """
        found = odds > 0
        rough = whole_lines(x)
        if not (found | rough).any():
            return found
        much = (found.to(x).mean(3, keepdim=True) > _MUCH).expand(x.shape)
        near = F.max_pool2d(found.to(x), (1, 2 * _REACH + 1), 1, (0, _REACH)) > 0
        beside = F.max_pool2d(found.to(x), (3, 1), 1, (1, 0)) > 0
        others = near | much | (beside & (odds > _DOUBT))
        others[:, :, :_MARGIN] = others[:, :, -_MARGIN:] = False  # one side only to judge them by
        suspected = found | rough | others
        made, deviation = self.refine(x, suspected, found)
        white = [max(noise_sigma(image[0]), _LEAST_NOISE) for image in x.cpu().numpy()]
        power = deviation.square() + torch.tensor(white).to(x).square()[:, None, None, None]
        surface = -(power.log() + (x - made).square() / power) / 2
        anything = -(x / _ANYTHING).square() / 2 - math.log(_ANYTHING)
        sure = suspected & (deviation < _SURE)
        evidence = (surface - anything).clamp(-20, 20) * sure

        def along(values: Tensor) -> Tensor:
            return F.avg_pool2d(values, (1, _ALONG), 1, (0, _ALONG // 2))

        mean = along(evidence) / along(suspected.to(x)).clamp(min=1e-6)
        line = _INDEPENDENT * mean < odds.clamp(-6, 6).where(~rough, 6.0)
        damaged = suspected & (line | (evidence < _OBVIOUS))
        # No stripe is as short as the foot of an atom beside one.
        near = F.avg_pool2d(damaged.to(x), (1, 2 * _REACH + 1), 1, (0, _REACH))
        return damaged & (near * (2 * _REACH + 1) > _FEWEST - 0.5)

    def proven(self, x: Tensor, found: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """What stands in the gaps, by whichever estimate is best in gaps that are none.

        The same gaps are laid over good lines of the image, where what was recorded is known. For
        gaps of up to 1, 2, 4, 8 and more lines each, a classical estimate takes the network's place
        where it is clearly closer; so in images without noise, where it is exact.

        Args:
            x: Images of deviation 1, [B, 1, H, W].
            found: Damaged pixels, [B, 1, H, W] bool.
            first: Those of the first look.

        Returns:
            The estimate and its expected error, [B, 1, H, W] each.
        """
        made, deviation = self.refine(x, found, first)
        if not found.any():
            return made, deviation
        steady, (smooth, _) = self.estimates(x, found)
        trial = moved(found)
        both = found | trial
        tried, _ = self.refine(x, both)
        steady_tried, (smooth_tried, _) = self.estimates(x, both)
        longer = [torch.ones_like(found), *(too_long(found, n) for n in _LENGTHS)]
        longer_tried = [torch.ones_like(found), *(too_long(both, n) for n in _LENGTHS)]
        for k in range(len(longer)):
            here, there = (
                each[k] & ~each[k + 1] if k + 1 < len(each) else each[k]
                for each in (longer, longer_tried)
            )
            there = there & trial
            for image in here.any(3).any(2).any(1).nonzero()[:, 0].tolist():
                where = there[image]
                if where.sum() < _ENOUGH:
                    continue
                errors = [
                    (each[image][where] - x[image][where]).square().mean()
                    for each in (tried, steady_tried, smooth_tried)
                ]
                best = min((1, 2), key=lambda i: errors[i])
                if errors[best] < _CLEARLY * errors[0]:
                    gap = here[image]
                    made[image][gap] = (steady, smooth)[best - 1][image][gap]
                    deviation[image][gap] = errors[best].sqrt()
        return made, deviation

    @staticmethod
    def scale(images: Tensor) -> tuple[Tensor, Tensor]:
        """Median and half the range from the 16th to the 84th percentile, [B, 1, 1, 1] each.

        Stripes hardly change them, unless they are most of the image.
        """
        ends = torch.tensor((0.16, 0.5, 0.84), dtype=images.dtype, device=images.device)
        # torch.quantile takes no more than 16 million values.
        values = images.flatten(1)
        values = values[:, :: max(1, values.shape[1] // 2**20)]
        low, middle, high = torch.quantile(values, ends, dim=1)[..., None, None, None]
        return middle, (high - low) / 2 + 1e-6

    def logits(self, x: Tensor) -> Tensor:
        """Log odds that a pixel is damaged, [B, 1, H, W]; from images of deviation 1."""
        rough = roughness(x)
        return self.finder(torch.cat((x.clamp(-_FARTHEST, _FARTHEST), rough), 1))

    def refine(
        self, x: Tensor, found: Tensor, first: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What stands in the gaps.

        Args:
            x: Images of deviation 1, [B, 1, H, W].
            found: Damaged pixels, [B, 1, H, W] bool.
            first: Those of the first look, whose height is judged apart; None: all.

        Returns:
            The estimate and its expected error, [B, 1, H, W] each.
        """
        steady, others = self.estimates(x, found, first)
        seen = (steady, *(other - steady for other in (*others, x)), found.to(x))
        weights, correction, sharpness = self.repairer(
            torch.cat([each.clamp(-_FARTHEST, _FARTHEST) for each in seen], 1)
        ).split((3, 1, 1), 1)
        deviation = sharpness.clamp(_SHARPEST, _BLUNTEST).exp()
        made = (weights.softmax(1) * torch.cat((steady, *others), 1)).sum(1, keepdim=True)
        return made + deviation.detach() * correction, deviation

    @staticmethod
    def estimates(
        x: Tensor, found: Tensor, first: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The classical estimates, on the CPU: the steadiest one and two others, [B, 1, H, W]."""
        # All images beside each other, with a good column between them, are one large image.
        wide, gaps, kind = (
            F.pad(each, (0, 1))[:, 0].permute(1, 0, 2).flatten(1).cpu().numpy()
            for each in (x.detach(), found, found if first is None else first)
        )
        steady = fill_gaps(wide, gaps, 2)
        made = (steady, fill_gaps(wide, gaps, 4), level_runs(wide, gaps, steady, kind))
        count, _, height, width = x.shape
        apart = torch.from_numpy(np.stack(made)).to(x).view(3, height, count, width + 1)
        first, second, third = apart[..., :width].permute(0, 2, 1, 3)[:, :, None]
        return first, (second, third)
