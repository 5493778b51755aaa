"""The rules around the stripe network: which marked pixels are damaged, and what replaces them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.noise import noise_sigma
from stm_experiments.models.interfaces import NetworkModule, Repair
from stm_experiments.models.networks.destripe import Destripe, Estimate, roughness

_SHORTEST = 3  # px of a line; its roughness is measured by second differences


@dataclass(frozen=True)
class StripeRules:
    """The constants of ``StripeRepair``; heights and errors in standard deviations of the image.

    Each was set by hand and tested by ``benchmarks.ablation`` on 60 images of each kind. "Equal"
    means that nothing changes by more than its 95 % interval.

    Attributes:
        longest: Most damaged lines in a row that are repaired, px; at a border half of that. What
            is wider would be invented. 12 px: 1.0 dB less in stripes of up to 16 px; 48 px: equal.
        rough: Share of a line that is rough where all of the line is suspected and its odds are
            largest. Off: a half per cent of the pixels of severe damage is repaired by mistake;
            0.45: three times as many changed pixels outside of stripes.
        reach: Distance along a line within which marked pixels make others suspected, px. Off: 0.4
            dB less in shifted lines; 8 and 32 px: equal.
        along: Pixels along a line over which the evidence is averaged. 7 px: 0.6 dB less in images
            without noise; 31 px: twice as many changed pixels outside of stripes.
        independent: Independent pixels for which these count. 12: 0.1 dB less; 3: equal.
        anything: Standard deviation of what is recorded in a stripe. 0.75: 0.7 dB less in images
            without noise; 3: 0.1 dB less.
        sure: Expected error up to which the evidence counts. 0.25: 0.2 dB less; no limit: a tenth
            more changed pixels outside of stripes.
        fewest: Damaged pixels within ``reach`` along the line below which damage is dropped. Off: 1
            to 7 % more changed pixels outside of stripes; 16: equal.
    """

    longest: int = 24
    rough: float = 0.9
    reach: int = 16
    along: int = 15
    independent: float = 6.0
    anything: float = 1.5
    sure: float = 0.5
    fewest: int = 8


class StripeRepair(NetworkModule):
    """The stripe network with a second look at the pixels that it marks; others keep their value.

    A pixel that agrees with the surface around it is no damage. Only the gaps that remain
    are repaired; without any, the output equals the input bit for bit. Damage on more than
    ``longest`` lines in a row is reported and left as recorded: a repair would be invented.

    Args:
        net: The stripe network.
        rules: Its constants.

    Raises:
        ValueError: If ``longest`` is less than 1.
    """

    def __init__(self, net: Destripe, rules: StripeRules | None = None) -> None:
        super().__init__()
        self.net = net
        self.rules = rules or StripeRules()
        if self.rules.longest < 1:
            raise ValueError(f"longest is at least 1, not {self.rules.longest}")
        self.label, self.window, self.card = net.label, net.window, net.card

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, 1, H, W] to images without stripes, same scale; any H and W."""
        return self.repair(images).output

    def uncertainty(self, images: Tensor) -> Tensor:
        """Return the expected error of ``forward``, [B, 1, H, W]; 0 outside of stripes."""
        return self.repair(images).deviation

    def repair(self, images: Tensor) -> Repair:
        """Detect and repair damage in images [B, 1, H, W].

        Raises:
            ValueError: If a line is shorter than 3 px.
        """
        if images.shape[3] < _SHORTEST:
            raise ValueError(
                f"stripes are repaired along lines of at least {_SHORTEST} px, and the image "
                f"has lines of {images.shape[3]} px"
            )
        middle, unit = self.net.scale(images)
        x = (images - middle) / unit
        odds = self.net.logits(x)
        damaged = self.confirmed(x, odds)
        surface, deviation = self.best_estimate(x, damaged, odds > 0)
        longest = self.rules.longest
        half = longest // 2  # a gap at a border has only one side to interpolate from
        extended = F.pad(damaged.to(x), (0, 0, half, half), "replicate") > 0
        left = in_long_run(extended, longest)[:, :, half : half + x.shape[2]]
        repaired = damaged & ~left
        return Repair(
            output=torch.where(repaired, middle + unit * surface, images),
            repaired=repaired,
            unrepaired=left,
            # Pixels that are left are wrong themselves, and the surface under them is unknown.
            deviation=unit * torch.where(left, x.abs() + 1, deviation) * damaged,
        )

    def confirmed(self, x: Tensor, odds: Tensor) -> Tensor:
        """Take the second look: keep the suspected pixels that do not agree with the surface.

        Suspected are the marked pixels, those near them along their line, and whole lines that are
        rough nearly everywhere. A suspected pixel is more likely in its place if the surface was
        recorded (normal, with the expected error and the image's white noise) or if anything was
        (normal, ``anything`` wide). The mean of that evidence along the line counts as
        ``independent`` pixels against the odds of the first look; it does not count where the
        network is unsure of the surface. Damage that is too short for a stripe, such as the flank
        of an atom next to one, is dropped.

        Args:
            x: Images of standard deviation 1, [B, 1, H, W].
            odds: Log odds of damage by the first look, [B, 1, H, W].

        Returns:
            Damaged pixels, [B, 1, H, W] bool.
        """
        rules = self.rules
        marked, rough = odds > 0, rough_lines(x, rules.rough)
        if not (marked | rough).any():
            return marked
        width = 2 * rules.reach + 1
        near = F.max_pool2d(marked.to(x), (1, width), 1, (0, rules.reach)) > 0
        suspected = near | rough
        surface, deviation = self.net.refine(x, suspected, marked)
        white = torch.tensor([noise_sigma(image[0]) for image in x.cpu().numpy()]).to(x)
        variance = deviation.square() + white.square()[:, None, None, None]
        recorded = -(variance.log() + (x - surface).square() / variance) / 2
        anything = -(x / rules.anything).square() / 2 - math.log(rules.anything)
        evidence = (recorded - anything).clamp(-20, 20) * (suspected & (deviation < rules.sure))
        count = _line_mean(suspected.to(x), rules.along).clamp(min=1e-6)
        mean = _line_mean(evidence, rules.along) / count
        damaged = suspected & (rules.independent * mean < odds.where(~rough, 6.0))
        return damaged & (width * _line_mean(damaged.to(x), width) > rules.fewest - 0.5)

    def best_estimate(self, x: Tensor, damaged: Tensor, marked: Tensor) -> Estimate:
        """Estimate the surface in the gaps by the method that proves best on this image.

        The same gaps are laid over undamaged lines of the image, where the surface is known. The
        estimate that is closest there replaces the network's: in images without noise that is a
        classical one.

        Args:
            x: Images of standard deviation 1, [B, 1, H, W].
            damaged: Damaged pixels, [B, 1, H, W] bool.
            marked: Those of the first look.
        """
        surface, deviation = self.net.refine(x, damaged, marked)
        if not damaged.any():
            return Estimate(surface, deviation)
        trial = trial_gaps(damaged)
        gaps = damaged | trial
        errors = [
            ((estimate - x).square() * trial).sum((1, 2, 3)) / trial.sum((1, 2, 3)).clamp(min=1)
            for estimate in (self.net.refine(x, gaps).surface, *self.net.estimates(x, gaps)[:2])
        ]
        best = torch.stack(errors).argmin(0)
        for method, estimate in enumerate(self.net.estimates(x, damaged)[:2], 1):
            chosen = (best == method)[:, None, None, None]
            surface = torch.where(chosen, estimate, surface)
            error = errors[method].sqrt()[:, None, None, None]
            deviation = torch.where(chosen, error, deviation)
        return Estimate(surface, deviation)


def _line_mean(values: Tensor, length: int) -> Tensor:
    """Average over an odd number of pixels along the line, with zeros beyond its ends."""
    return F.avg_pool2d(values, (1, length), 1, (0, length // 2))


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
