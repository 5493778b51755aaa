"""Training on known stripes."""

from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stm_experiments.core.batch import Batch
from stm_experiments.core.results.measures import Measure
from stm_experiments.models import Destripe
from stm_experiments.training.reconstruction import Reconstruction

# Mean squared error, in variances of the image, below which a repair need not get better.
_EXACT = 1e-6
# Weight of finding relative to the mean of repairing and knowing.
_FINDING_WEIGHT = 10.0
# Limit of the loss of knowing, nats: bounds the first steps, with expected errors near 0.
_LARGEST_KNOWING = 10.0


class Terms(NamedTuple):
    """The weighted terms of the loss, means over the patches of a batch; their sum is the loss."""

    finding: Tensor
    repairing: Tensor  # 0 without gaps
    knowing: Tensor  # 0 without gaps


class Destriping(Reconstruction):
    """Trains ``Destripe`` on images with known stripes.

    The loss has three terms. Finding: the binary cross-entropy of each pixel. Repairing: the
    logarithm of the mean squared error in the gaps of each patch, against the clean image, so that
    a gap that can be filled to 1e-3 has the weight of one that can be filled to 0.3: the objective
    is decibels. Knowing: the negative log-likelihood of these errors as samples of a normal
    distribution with the expected standard deviation. The repairer receives the true stripes and
    those of the finder.

    Args:
        net: The network to train.
        optimizer: As for ``Reconstruction``.
        scheduler: As for ``Reconstruction``.
        target: ``clean``, the only one.
        finder_only: Whether only the term of finding is used; the repairer keeps its weights.

    Raises:
        ValueError: If the target is another one.
    """

    loss_label = "sum of the terms of finding, repairing and knowing"
    measures: ClassVar[Mapping[str, Measure]] = {
        "finding": Measure("10 times the cross-entropy of stripes", "nats per px"),
        "repairing": Measure("half the logarithm of the squared error in gaps", "per patch"),
        "knowing": Measure("half the negative log-likelihood of errors in gaps", "nats per px"),
    }
    net: Destripe

    def __init__(
        self,
        net: Destripe,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
        target: str = "clean",
        *,
        finder_only: bool = False,
    ) -> None:
        super().__init__(net, optimizer, scheduler, target)
        if target != "clean":
            raise ValueError(f"stripes are repaired towards model.target=clean, not {target!r}")
        self.finder_only = finder_only

    def loss(self, batch: Batch) -> Tensor:
        """Return the sum of the terms; errors as for ``terms``."""
        return torch.stack(self.terms(batch)).sum()

    def validation_step(self, batch: Batch, _: int) -> None:
        """Log ``val/loss`` and its terms, ``val/finding``, ``val/repairing``, ``val/knowing``."""
        if len(batch.noisy):
            terms = self.terms(batch)
        else:  # of a small last batch, whose patches other processes have
            terms = Terms(*torch.zeros(3, device=batch.noisy.device))
        self.log_validation(batch, loss=torch.stack(terms).sum(), **terms._asdict())

    def terms(self, batch: Batch) -> Terms:
        """Return the terms of the loss.

        Raises:
            ValueError: If the data have no clean images, or do not know their stripes.
        """
        if batch.clean is None or "stripes" not in batch.truth:
            raise ValueError("this model learns from known stripes: set noise=stripes")
        stripes = batch.truth["stripes"]
        level, unit = self.net.scale(batch.noisy)
        noisy, clean = (batch.noisy - level) / unit, (batch.clean - level) / unit
        logits = self.net.logits(noisy)
        finding = _FINDING_WEIGHT * F.binary_cross_entropy_with_logits(logits, stripes.to(noisy))
        gaps = stripes | (logits.detach() > 0)
        damaged = gaps.any(3).any(2).any(1)
        if self.finder_only or not damaged.any():
            return Terms(finding, torch.zeros_like(finding), torch.zeros_like(finding))
        repairing, knowing = self.repair_terms(noisy[damaged], clean[damaged], gaps[damaged])
        share = int(damaged.sum()) / len(damaged) / 2
        return Terms(finding, share * repairing, share * knowing)

    def repair_terms(self, noisy: Tensor, clean: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the terms of repairing and knowing, means over patches with gaps.

        Args:
            noisy: Patches of standard deviation 1, [B, 1, h, w].
            clean: The same without noise, [B, 1, h, w].
            gaps: Pixels to repair, some in each patch, [B, 1, h, w] bool.
        """
        surface, deviation = self.net.refine(noisy, gaps)
        errors = (surface - clean).square() * gaps
        count = gaps.sum((1, 2, 3))
        repairing = (errors.sum((1, 2, 3)) / count + _EXACT).log().mean()
        likelihood = deviation.log() + errors.detach() / (2 * deviation.square() + _EXACT)
        knowing = ((likelihood * gaps).sum((1, 2, 3)) / count).mean()
        return repairing, torch.clamp(knowing, max=_LARGEST_KNOWING)
