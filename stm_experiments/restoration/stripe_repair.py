"""The rules around the stripe network: which marked pixels are damaged, and what replaces them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.noise import noise_sigma
from stm_experiments.models.interfaces import NetworkModule, Repair
from stm_experiments.models.networks.destripe import Destripe, Estimate, roughness


@dataclass(frozen=True)
class StripeRules:
    """The constants of ``StripeRepair``; lengths in px, heights in standard deviations.

    Attributes:
        threshold: Probability of damage from which the finder marks a pixel.
        longest: Most damaged lines in a row that are repaired; at a border half of that.
        rough: Share of a line that is rough where all of the line is suspected.
        much: Share of a line that is marked where all of the line is suspected.
        reach: Distance along a line within which marked pixels make others suspected.
        doubt: Log odds from which a pixel next to a marked line is suspected too.
        margin: Lines at the upper and the lower border that are suspected only if marked.
        along: Pixels along a line over which the evidence is averaged.
        independent: Independent pixels for which these count.
        obvious: Log-likelihood ratio below which one pixel is damaged by itself.
        anything: Standard deviation of what is recorded in a stripe.
        sure: Expected error up to which the evidence counts.
        least_noise: Least white noise of an image.
        fewest: Least damaged pixels within ``reach``.
        lengths: Limits between the classes of gap lengths that are judged separately.
        enough: Least pixels on which an estimate is judged.
        clearly: Ratio of squared errors below which a classical estimate replaces the network's.
    """

    threshold: float = 0.5
    longest: int = 24
    rough: float = 0.9
    much: float = 0.15
    reach: int = 16
    doubt: float = -3.0
    margin: int = 2
    along: int = 15
    independent: float = 6.0
    obvious: float = -4.0
    anything: float = 1.5
    sure: float = 0.5
    least_noise: float = 0.02
    fewest: int = 8
    lengths: tuple[int, ...] = (1, 2, 4, 8)
    enough: int = 100
    clearly: float = 0.9


class StripeRepair(NetworkModule):
    """The stripe network with a second look at what it marks; all other pixels keep their value.

    A marked pixel that agrees with the surface around it is no damage. Only the gaps that remain
    are repaired; without any, the output equals the input bit for bit. Damage on more than
    ``longest`` lines in a row is reported and left as recorded: a repair would be invented.

    Args:
        net: The stripe network.
        rules: Its constants.

    Raises:
        ValueError: If ``longest`` is less than 1 or the threshold not between 0 and 1.
    """

    def __init__(self, net: Destripe, rules: StripeRules | None = None) -> None:
        super().__init__()
        self.net = net
        self.rules = rules or StripeRules()
        if self.rules.longest < 1 or not 0 < self.rules.threshold < 1:
            raise ValueError(
                "longest is at least 1, the threshold between 0 and 1, not "
                f"{self.rules.longest}, {self.rules.threshold}"
            )
        self.label, self.window, self.card = net.label, net.window, net.card

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, 1, H, W] to images without stripes, same scale; any H and W."""
        return self.repair(images).output

    def uncertainty(self, images: Tensor) -> Tensor:
        """Return the expected error of ``forward``, [B, 1, H, W]; 0 outside of stripes."""
        return self.repair(images).deviation

    def repair(self, images: Tensor) -> Repair:
        """Detect and repair damage in images [B, 1, H, W]."""
        middle, unit = self.net.scale(images)
        x = (images - middle) / unit
        threshold, longest = self.rules.threshold, self.rules.longest
        odds = self.net.logits(x) - math.log(threshold / (1 - threshold))
        damaged = self.confirmed(x, odds)
        surface, deviation = self.best_estimate(x, damaged, odds > 0)
        half = longest // 2  # a gap at a border has only one side to interpolate from
        extended = F.pad(damaged.to(x), (0, 0, half, half), "replicate") > 0
        left = in_long_run(extended, longest)[:, :, half : half + x.shape[2]]
        repaired = damaged & ~left
        return Repair(
            output=torch.where(repaired, middle + unit * surface, images),
            repaired=repaired,
            left=left,
            # Pixels that are left are wrong themselves, and the surface under them is unknown.
            deviation=unit * torch.where(left, x.abs() + 1, deviation) * damaged,
        )

    def confirmed(self, x: Tensor, odds: Tensor) -> Tensor:
        """Take the second look: keep the suspected pixels that do not agree with the surface.

        Suspected are the marked pixels, the pixels near them along their line, and whole lines that
        are marked in large part or rough nearly everywhere. A suspected pixel is more likely in its
        place if the surface was recorded (normal, with the expected error and the image's white
        noise) or if anything was (normal, ``anything`` wide). The mean of that evidence along the
        line counts as ``independent`` pixels against the odds of the first look; it does not count
        where the network is unsure of the surface. A pixel far from the surface is damaged by
        itself: so stripes are followed to their ends.

        Args:
            x: Images of standard deviation 1, [B, 1, H, W].
            odds: Log odds of damage by the first look, [B, 1, H, W].

        Returns:
            Damaged pixels, [B, 1, H, W] bool.
        """
        rules = self.rules
        marked = odds > 0
        rough = rough_lines(x, rules.rough)
        if not (marked | rough).any():
            return marked
        suspected = marked | rough | self._neighbours(marked, odds)
        surface, deviation = self.net.refine(x, suspected, marked)
        white = [max(noise_sigma(image[0]), rules.least_noise) for image in x.cpu().numpy()]
        power = deviation.square() + torch.tensor(white).to(x).square()[:, None, None, None]
        recorded = -(power.log() + (x - surface).square() / power) / 2
        anything = -(x / rules.anything).square() / 2 - math.log(rules.anything)
        sure = suspected & (deviation < rules.sure)
        evidence = (recorded - anything).clamp(-20, 20) * sure

        def along(values: Tensor) -> Tensor:
            return F.avg_pool2d(values, (1, rules.along), 1, (0, rules.along // 2))

        mean = along(evidence) / along(suspected.to(x)).clamp(min=1e-6)
        line = rules.independent * mean < odds.clamp(-6, 6).where(~rough, 6.0)
        damaged = suspected & (line | (evidence < rules.obvious))
        # No stripe is as short as the flank of an atom next to one.
        width = 2 * rules.reach + 1
        share = F.avg_pool2d(damaged.to(x), (1, width), 1, (0, rules.reach))
        return damaged & (share * width > rules.fewest - 0.5)

    def _neighbours(self, marked: Tensor, odds: Tensor) -> Tensor:
        """Return the pixels that are suspected because of marked ones, [B, 1, H, W] bool."""
        rules = self.rules
        count = marked.to(odds)
        much = (count.mean(3, keepdim=True) > rules.much).expand(marked.shape)
        near = F.max_pool2d(count, (1, 2 * rules.reach + 1), 1, (0, rules.reach)) > 0
        adjacent = F.max_pool2d(count, (3, 1), 1, (1, 0)) > 0
        suspected = near | much | (adjacent & (odds > rules.doubt))
        height = suspected.shape[2]
        suspected[:, :, : rules.margin] = suspected[:, :, height - rules.margin :] = False
        return suspected

    def best_estimate(self, x: Tensor, damaged: Tensor, marked: Tensor) -> Estimate:
        """Estimate the surface in the gaps by the method that proves best on this image.

        The same gaps are laid over undamaged lines of the image, where the surface is known. For
        each class of gap lengths, a classical estimate replaces the network's where it is clearly
        closer there, as in images without noise.

        Args:
            x: Images of standard deviation 1, [B, 1, H, W].
            damaged: Damaged pixels, [B, 1, H, W] bool.
            marked: Those of the first look.
        """
        surface, deviation = self.net.refine(x, damaged, marked)
        if not damaged.any():
            return Estimate(surface, deviation)
        steady, smooth, _ = self.net.estimates(x, damaged)
        trial = trial_gaps(damaged)
        both = damaged | trial
        tried = self.net.refine(x, both).surface
        steady_tried, smooth_tried, _ = self.net.estimates(x, both)
        lengths = self.rules.lengths
        longer = [torch.ones_like(damaged), *(in_long_run(damaged, n) for n in lengths)]
        longer_tried = [torch.ones_like(damaged), *(in_long_run(both, n) for n in lengths)]
        for k in range(len(longer)):
            here, there = (
                each[k] & ~each[k + 1] if k + 1 < len(each) else each[k]
                for each in (longer, longer_tried)
            )
            there = there & trial
            for image in here.any(3).any(2).any(1).nonzero()[:, 0].tolist():
                where = there[image]
                if where.sum() < self.rules.enough:
                    continue
                errors = [
                    (each[image][where] - x[image][where]).square().mean()
                    for each in (tried, steady_tried, smooth_tried)
                ]
                best = min((1, 2), key=lambda i: errors[i])
                if errors[best] < self.rules.clearly * errors[0]:
                    gap = here[image]
                    surface[image][gap] = (steady, smooth)[best - 1][image][gap]
                    deviation[image][gap] = errors[best].sqrt()
        return Estimate(surface, deviation)


def rough_lines(x: Tensor, share: float) -> Tensor:
    """Find lines that are rougher than the others along more than a share of their length.

    Args:
        x: Images, [B, 1, H, W].
        share: From 0 to 1.

    Returns:
        [B, 1, H, W] bool.
    """
    rough = roughness(x) > math.log(2)  # 6 median absolute deviations
    return (rough.to(x).mean(3, keepdim=True) > share).expand(x.shape)


def trial_gaps(damaged: Tensor) -> Tensor:
    """Move the gaps down to undamaged lines, clear of all damage and of the borders.

    Args:
        damaged: [B, 1, H, W] bool.
    """
    near = F.max_pool2d(damaged.float(), (7, 1), 1, (3, 0)) > 0
    near[:, :, :3] = near[:, :, -3:] = True
    steps = range(3, max(4, min(damaged.shape[2], 64)))
    step = min(steps, key=lambda n: int((damaged.roll(n, 2) & near).sum()))
    return damaged.roll(step, 2) & ~near


def in_long_run(damaged: Tensor, longest: int) -> Tensor:
    """Mark the pixels in runs of more than ``longest`` damaged pixels down a column.

    Args:
        damaged: [B, 1, H, W] bool.
        longest: px.
    """
    if damaged.shape[2] <= longest:
        return torch.zeros_like(damaged)
    # A pixel is in a long run if some window of longest + 1 rows that holds it is fully damaged.
    full = -F.max_pool2d(-damaged.float(), (longest + 1, 1), 1)
    return F.max_pool2d(F.pad(full, (0, 0, longest, longest)), (longest + 1, 1), 1) > 0
