"""Training on known stripes."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stm_experiments.core.batch import Batch
from stm_experiments.models import Destripe
from stm_experiments.training.reconstruction import Reconstruction

# Mean squared error, in variances of the image, below which a repair need not get better.
_EXACT = 1e-6
# Weight of finding relative to the mean of repairing and knowing.
_FINDING_WEIGHT = 10.0
# Limit of the loss of knowing, nats: bounds the first steps, with expected errors near 0.
_LARGEST_KNOWING = 10.0


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
        """Return the sum of the terms.

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

        if self.finder_only:
            return finding
        gaps = stripes | (logits.detach() > 0)
        damaged = gaps.any(3).any(2).any(1)
        if not damaged.any():
            return finding
        repair = self.repair_loss(noisy[damaged], clean[damaged], gaps[damaged])
        share = int(damaged.sum()) / len(damaged)
        return finding + share * repair

    def repair_loss(self, noisy: Tensor, clean: Tensor, gaps: Tensor) -> Tensor:
        """Return the mean of the terms of repairing and knowing, over patches with gaps.

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
        return (repairing + torch.clamp(knowing, max=_LARGEST_KNOWING)) / 2
