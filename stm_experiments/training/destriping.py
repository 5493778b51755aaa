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

_EXACT = 1e-6  # mean squared error, deviations squared, below which a repair need not get better


class Destriping(Reconstruction):
    """Trains ``Destripe`` where the stripes are known.

    Three losses are added. Finding: binary cross-entropy of each pixel. Repairing: the logarithm of
    each patch's mean squared error in the gaps, against the clean image; so a gap that can be
    filled to 1e-3 counts as much as one that can be filled to 0.3, and what is trained is decibels.
    Knowing: minus the log-likelihood of those errors as normal draws of the expected deviation.
    The network that repairs is shown the true stripes and what the other one takes for some.

    Args:
        net: A ``Destripe``.
        optimizer: Takes the parameters.
        scheduler: As for ``Reconstruction``.
        target: ``clean``, nothing else.

    Raises:
        ValueError: If the target is another one.
    """

    net: Destripe

    def __init__(
        self,
        net: Destripe,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
        target: str = "clean",
    ) -> None:
        super().__init__(net, optimizer, scheduler, target)
        if target != "clean":
            raise ValueError(f"stripes are repaired towards model.target=clean, not {target!r}")

    def loss(self, batch: Batch) -> Tensor:
        """The sum of the three losses.

        Raises:
            ValueError: If the data do not know their clean images and stripes.
        """
        if batch.clean is None or "stripes" not in batch.truth:
            raise ValueError("this model learns from known stripes: set noise=stripes")
        striped = batch.truth["stripes"]
        middle, unit = self.net.scale(batch.noisy)
        x, wanted = (batch.noisy - middle) / unit, (batch.clean - middle) / unit
        logits = self.net.logits(x)
        finding = F.binary_cross_entropy_with_logits(logits, striped.to(x))

        gaps = striped | (logits.detach() > 0)
        some = gaps.any(3).any(2).any(1)
        if not some.any():
            return finding
        x, wanted, gaps = x[some], wanted[some], gaps[some]
        made, deviation = self.net.refine(x, gaps)
        errors = (made - wanted).square() * gaps
        count = gaps.sum((1, 2, 3))
        repairing = (errors.sum((1, 2, 3)) / count + _EXACT).log().mean()
        likelihood = deviation.log() + errors.detach() / (2 * deviation.square() + _EXACT)
        knowing = ((likelihood * gaps).sum((1, 2, 3)) / count).mean()
        share = len(x) / len(batch.noisy)
        return 10 * finding + share * (repairing + torch.clamp(knowing, max=10.0)) / 2
