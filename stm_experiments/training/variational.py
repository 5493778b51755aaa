"""Training a variational autoencoder."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from stm_experiments.core.batch import Batch
from stm_experiments.core.results.measures import Measure
from stm_experiments.core.seeds import generator
from stm_experiments.models import interfaces
from stm_experiments.training.reconstruction import Reconstruction

# Mean squared residual per px, in squared units of the patches, that keeps the logarithm finite.
_LEAST_VARIANCE = 1e-6


class Terms(NamedTuple):
    """The terms of the loss, means over patches, nats.

    Attributes:
        reconstruction: Negative logarithm of the likelihood, without its constant.
        divergence: Of the codes from a standard normal distribution.
    """

    reconstruction: Tensor
    divergence: Tensor


class Variational(Reconstruction):
    """Trains a variational autoencoder, and before it the network for the poses, if there is one.

    The loss of a patch, in nats, is the negative logarithm of its likelihood, given a sample of its
    code, plus beta times the divergence of the code from a standard normal distribution (Kingma &
    Welling, 2014; Higgins et al., beta-VAE, 2017). ``beta`` rises from 0 at the beginning of the
    training; otherwise the codes would collapse before they carry information. With a capacity C,
    the divergence is driven to C nats instead of 0, and C rises with ``beta`` (Burgess et al.,
    2018).

    The pose network of a ``Posed`` network is trained alone in the first share of all steps, on
    patches that are turned by known angles; then it is frozen and the rest is trained. The stage
    follows from the number of the step, which the trainer stores: a resumed run continues in its
    stage. In each stage the learning rate falls to zero along a cosine.

    Args:
        net: The network to train, such as a ``VAE``.
        optimizer: As for ``Reconstruction``.
        beta: Weight of the divergence.
        capacity: C, nats.
        warm_up: Share of the steps after the pretraining in which beta rises, 0 to 1.
        noise: Standard deviation of the noise of a px, in the unit of the patches; None: that of
            the residuals of each batch, its maximum-likelihood estimate (Rybkin et al., 2021).
        pretraining: Share of all steps in which the pose network is trained, 0 to below 1; ignored
            for networks without one.
        seed: Seed of the random codes and angles.

    Raises:
        ValueError: If a setting is out of range.
    """

    loss_label = "negative bound of the evidence (nats per patch)"
    measures: ClassVar[Mapping[str, Measure]] = {
        "reconstruction": Measure("negative log-likelihood of the patch", "nats per patch"),
        "kl": Measure("divergence of the code", "nats per patch"),
    }
    net: interfaces.Variational

    def __init__(
        self,
        net: interfaces.Variational,
        optimizer: Callable[..., Optimizer] | None = None,
        beta: float = 1.0,
        capacity: float = 0.0,
        warm_up: float = 0.3,
        noise: float | None = 0.1,
        pretraining: float = 0.3,
        seed: int = 0,
    ) -> None:
        super().__init__(net, optimizer)
        for name, value in (("beta", beta), ("capacity", capacity)):
            if not 0 <= value < math.inf:
                raise ValueError(f"model.{name} is a number from 0 on, not {value!r}")
        if not 0 <= warm_up <= 1 or not 0 <= pretraining < 1:
            raise ValueError("model.warm_up and model.pretraining are shares, from 0 to 1")
        if noise is not None and not noise > 0:
            raise ValueError(f"model.noise is above 0, or null, not {noise!r}")
        self.beta = beta
        self.capacity = capacity
        self.warm_up = warm_up
        self.noise = noise
        self.pretraining = pretraining if isinstance(net, interfaces.Posed) else 0.0
        if self.pretraining:
            self.loss_label = "loss (of the pose, where it learns first; then nats per patch)"
        self.seed = seed
        self._steps = self._pretraining_steps = 0

    def setup(self, stage: str) -> None:
        """Refuse several processes: one of these small networks keeps a single core busy.

        Raises:
            ValueError: If there are several.
        """
        if self.trainer.world_size > 1:
            raise ValueError("a variational autoencoder trains on one device: trainer=default")

    def configure_optimizers(self) -> Any:
        """Return the optimiser, and a learning rate that falls along a cosine in each stage."""
        self._steps = self.total_steps()
        self._pretraining_steps = round(self.pretraining * self._steps)
        optimizer = super().configure_optimizers()["optimizer"]
        schedule = LambdaLR(optimizer, self.rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def rate(self, step: int) -> float:
        """Return the learning rate of a step over the largest."""
        pose = self._pretraining_steps
        done = step / pose if step < pose else (step - pose) / max(self._steps - pose, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a step: that of the poses, or of the rest."""
        step = self.trainer.global_step
        draws = generator(self.seed, "variational", step)
        if step < self._pretraining_steps:
            return self.pose_loss(batch.noisy, draws)
        done = (step - self._pretraining_steps) / max(self._steps - self._pretraining_steps, 1)
        weight = min(1.0, done / self.warm_up) if self.warm_up else 1.0
        return self.evidence_loss(batch.noisy, draws, weight)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Log ``val/loss``, with the full beta from the first epoch on, and what it is made of.

        ``val/reconstruction`` and ``val/kl`` (the divergence) are the two terms, nats per patch,
        the latter without beta and capacity.
        """
        terms = self.terms(batch.noisy, generator(self.seed, "validation", index))
        self.log_validation(
            batch,
            loss=self.weighted_terms(*terms, 1.0),
            reconstruction=terms.reconstruction,
            kl=terms.divergence,
        )

    def pose_loss(self, patches: Tensor, draws: torch.Generator) -> Tensor:
        """Return the loss of the poses of patches that are turned and shifted at random.

        Args:
            patches: [B, 1, h, w] on [-1, 1].
            draws: Source of the random angles and shifts.
        """
        assert isinstance(self.net, interfaces.Posed)
        angle = 2 * math.pi * torch.rand(len(patches), generator=draws)
        # Each component is at most 1 / sqrt(2), so that the length of the shift is at most 1.
        shift = 2**0.5 * (torch.rand(len(patches), 2, generator=draws) - 0.5)
        turn = torch.stack([angle.cos(), angle.sin()], 1)
        return self.net.pose_loss(patches, turn.to(patches), shift.to(patches))

    def evidence_loss(self, patches: Tensor, draws: torch.Generator, weight: float) -> Tensor:
        """Return the negative lower bound of the log-evidence per patch, nats.

        Args:
            patches: [B, 1, h, w] on [-1, 1].
            draws: Source of the random codes.
            weight: Factor of beta and of the capacity, 0 to 1.
        """
        return self.weighted_terms(*self.terms(patches, draws), weight)

    def weighted_terms(self, reconstruction: Tensor, divergence: Tensor, weight: float) -> Tensor:
        """Return the loss made of its two terms; ``weight`` as in ``evidence_loss``."""
        if self.capacity:
            divergence = (divergence - weight * self.capacity).abs()
        return reconstruction + weight * self.beta * divergence

    def terms(self, patches: Tensor, draws: torch.Generator) -> Terms:
        """Return the two terms of the loss; arguments as in ``evidence_loss``."""
        mean, log_variance, turn, shift = self.net.infer(patches)
        normal = torch.randn(mean.shape, generator=draws).to(patches)
        codes = mean + normal * (0.5 * log_variance).exp()
        residual = self.net.generate(codes, turn, shift) - patches
        squares = residual.square().sum((1, 2, 3)).mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        divergence = divergence.sum(1).mean()
        if self.noise is None:
            pixels = patches[0].numel()
            unlikelihood = 0.5 * pixels * torch.log(squares / pixels + _LEAST_VARIANCE)
        else:
            unlikelihood = squares / (2 * self.noise**2)
        return Terms(unlikelihood, divergence)
