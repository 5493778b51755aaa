"""The rules around the stripe network: which marked pixels are damaged, and what replaces them."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
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
        jump: Least mean squared jump between two lines at either end of a stripe, over that between
            undamaged lines. 2: eight times as many changed pixels on terraces with noisy rows; 4: 3
            to 5 dB less in lost lines of 1 and 2 px without noise.
        uneven: Share of the jump at one end that the jump at the other one has at least. Off: twice
            as many changed pixels next to tip changes; 0.1: equal.
        tall: Most lines of a damaged block of any shape that is repaired, px.
        filled: Share of its bounding rectangle that a taller block fills if it is repaired. 0.75: 2
            dB less in shifted lines of 8 and 16 px; 0.5: 1 per cent more changed pixels on islands.
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
    jump: float = 3.0
    uneven: float = 0.2
    tall: int = 8
    filled: float = 0.66
    rough: float = 0.9
    reach: int = 16
    along: int = 15
    independent: float = 6.0
    anything: float = 1.5
    sure: float = 0.5
    fewest: int = 8


class Blocks(NamedTuple):
    """Connected blocks of damaged pixels, sorted by what they are.

    Attributes:
        stripes: Pixels of stripes, [B, 1, H, W] bool.
        doubtful: Pixels of blocks that are too tall to be trusted, [B, 1, H, W] bool.
    """

    stripes: Tensor
    doubtful: Tensor


class StripeRepair(NetworkModule):
    """The stripe network with a second look at the pixels that it marks; others keep their value.

    A pixel that agrees with the surface around it is no damage, and neither is a block of pixels
    that does not begin and end with a jump between two lines, as the side of an atomic step or of a
    tip change. Only the gaps that remain are repaired; without any, the output equals the input bit
    for bit. A block of more than ``tall`` lines that is no stripe, and damage on more than
    ``longest`` lines in a row, are reported and left as recorded: a repair would be invented.

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
        damaged, doubtful = self.blocks(x, self.confirmed(x, odds))
        surface, deviation = self.best_estimate(x, damaged, odds > 0)
        longest = self.rules.longest
        half = longest // 2  # a gap at a border has only one side to interpolate from
        extended = F.pad(damaged.to(x), (0, 0, half, half), "replicate") > 0
        left = in_long_run(extended, longest)[:, :, half : half + x.shape[2]]
        repaired = damaged & ~left
        left = left | doubtful
        return Repair(
            output=torch.where(repaired, middle + unit * surface, images),
            repaired=repaired,
            unrepaired=left,
            # Pixels that are left may be wrong, and the surface under them is unknown.
            deviation=unit * torch.where(left, x.abs() + 1, deviation * damaged),
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

    def blocks(self, x: Tensor, damaged: Tensor) -> Blocks:
        """Sort connected blocks of damaged pixels into stripes, doubtful ones and good ones.

        A stripe begins and ends with a jump between two lines, and is a rectangle if it is tall: a
        whole number of lines, or the same part of them.

        Args:
            x: Images of standard deviation 1, [B, 1, H, W].
            damaged: Damaged pixels, [B, 1, H, W] bool.
        """
        stripes, doubtful = torch.zeros_like(damaged), torch.zeros_like(damaged)
        for number in damaged.any(3).any(2).any(1).nonzero()[:, 0].tolist():
            labels, _ = ndimage.label(damaged[number, 0].cpu().numpy())
            boxes = ndimage.find_objects(labels)
            heights = np.array([0, *(rows.stop - rows.start for rows, _ in boxes)])
            areas = np.array([1, *(labels[box].size for box in boxes)])
            tall = heights > self.rules.tall
            ragged = np.bincount(labels.ravel()) < self.rules.filled * areas
            ragged |= heights > self.rules.longest
            jumps = smallest_jumps(x[number, 0].cpu().numpy(), labels, self.rules.uneven)
            trusted = (jumps > self.rules.jump) & ~(tall & ragged)
            trusted[0] = tall[0] = False  # the pixels without damage
            stripes[number, 0] = torch.from_numpy(trusted[labels]).to(damaged)
            doubtful[number, 0] = torch.from_numpy((tall & ~trusted)[labels]).to(damaged)
        return Blocks(stripes, doubtful)

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


def smallest_jumps(
    image: NDArray[np.float32], labels: NDArray[np.int32], uneven: float
) -> NDArray[np.float64]:
    """Measure the jumps between two lines with which blocks of pixels begin and end.

    Args:
        image: [H, W].
        labels: Number of each pixel's block, from 1; 0 outside of blocks, [H, W].
        uneven: Share of the larger jump below which the smaller one counts as none: a tip change or
            a step does not come back.

    Returns:
        For each number, the mean squared jump at the block's end with the smaller one, over that
        between two lines without blocks (their median), [N + 1]. A border of the image is no end.
    """
    steps = np.diff(image, axis=0) ** 2
    above, below = labels[:-1], labels[1:]
    outside = (above == 0) & (below == 0)
    lines = outside.any(1)
    if not lines.any():
        return np.zeros(labels.max() + 1)
    usual = np.median(np.mean(steps[lines], 1, where=outside[lines])) + 1e-12
    smallest, largest = np.full(labels.max() + 1, np.inf), np.zeros(labels.max() + 1)
    for inner, outer in ((below, above), (above, below)):
        edge = (inner > 0) & (outer == 0)
        count = np.bincount(inner[edge], minlength=len(smallest))
        total = np.bincount(inner[edge], steps[edge], len(smallest))
        mean = np.divide(total, count, out=np.full(len(smallest), np.inf), where=count > 0)
        np.minimum(smallest, mean / usual, out=smallest)
        np.maximum(largest, mean / usual, where=count > 0, out=largest)
    return np.where(smallest < uneven * largest, 0, smallest)


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
