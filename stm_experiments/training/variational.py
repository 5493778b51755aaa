"""Training a variational autoencoder."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from stm_experiments.core.batch import Batch
from stm_experiments.core.seeds import generator
from stm_experiments.models import interfaces
from stm_experiments.training.reconstruction import Reconstruction


class Variational(Reconstruction):
    """Trains a variational autoencoder, and first the part of it that sees how patches are turned.

    The loss of a patch, in nats, is the negative logarithm of the chance of what it shows, given a
    code drawn from what the encoder says, plus beta times the divergence of that from a standard
    normal distribution (Kingma & Welling, 2014; Higgins et al., beta-VAE, 2017). ``beta`` rises
    from 0 in the first part of the training, or codes would be forgotten before they say anything.
    With a capacity C the divergence is drawn to C nats instead of 0, and C rises with ``beta``
    (Burgess et al., 2018).

    A network with a ``pose_loss`` learns that alone in the first share of all steps, from patches
    that are turned by known angles; then that part is frozen and the rest learns. Which of both is
    on follows from the number of the step alone, which the trainer keeps: a run that is resumed
    goes on in its stage. The learning rate falls to zero along a cosine in each.

    Args:
        net: A ``Variational`` network, such as ``VAE``.
        optimizer: Takes the parameters.
        beta: Weight of the divergence.
        capacity: C, nats.
        warm_up: Share of the steps after the pretraining in which beta rises, 0 to 1.
        noise: Standard deviation of the noise of a px, in the patches' unit; None: learned, that of
            each batch's residuals, which is its most likely value (Rybkin et al., 2021).
        pretraining: Share of all steps in which the pose is learned, 0 to below 1; only of networks
            that have one.
        seed: Of the codes and angles that are drawn.

    Raises:
        ValueError: If a setting makes no sense.
    """

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
        self.seed = seed
        self._steps = self._pretraining_steps = 0

    def setup(self, stage: str) -> None:
        """Refuses several processes: one of these small networks keeps a single core busy.

        Raises:
            ValueError: If there are several.
        """
        if self.trainer.world_size > 1:
            raise ValueError("a variational autoencoder trains on one device: trainer=default")

    def configure_optimizers(self) -> Any:
        """The optimiser, and a rate that falls along a cosine in each stage."""
        self._steps = self.steps_in_all()
        self._pretraining_steps = round(self.pretraining * self._steps)
        optimizer = super().configure_optimizers()["optimizer"]
        schedule = LambdaLR(optimizer, self.rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def rate(self, step: int) -> float:
        """Learning rate of a step over the largest."""
        pose = self._pretraining_steps
        done = step / pose if step < pose else (step - pose) / max(self._steps - pose, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """One step's loss: of the pose, or of the rest."""
        step = self.trainer.global_step
        draws = generator(self.seed, "variational", step)
        if step < self._pretraining_steps:
            return self.pose_loss(batch.noisy, draws)
        since = (step - self._pretraining_steps) / max(self._steps - self._pretraining_steps, 1)
        weight = min(1.0, since / self.warm_up) if self.warm_up else 1.0
        return self.evidence(batch.noisy, draws, weight)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Logs ``val/loss``, that of the rest at full beta from the first epoch on."""
        loss = self.evidence(batch.noisy, generator(self.seed, "validation", index), 1.0)
        self.log("val/loss", loss, batch_size=len(batch.noisy))

    def pose_loss(self, patches: Tensor, draws: torch.Generator) -> Tensor:
        """The network's own loss of patches [B, 1, h, w] that are turned and shifted.

        Args:
            patches: On [-1, 1].
            draws: Of angles and shifts.
        """
        assert isinstance(self.net, interfaces.Posed)
        angle = 2 * math.pi * torch.rand(len(patches), generator=draws)
        shift = 2**0.5 * (torch.rand(len(patches), 2, generator=draws) - 0.5)
        turn = torch.stack([angle.cos(), angle.sin()], 1)
        return self.net.pose_loss(patches, turn.to(patches), shift.to(patches))

    def evidence(self, patches: Tensor, draws: torch.Generator, weight: float) -> Tensor:
        """Mean loss of patches, nats.

        Args:
            patches: [B, 1, h, w] on [-1, 1].
            draws: Of the codes.
            weight: Of the divergence, in beta.
        """
        seen = self.net.infer(patches)
        normal = torch.randn(seen.mean.shape, generator=draws).to(patches)
        codes = seen.mean + normal * (0.5 * seen.log_variance).exp()
        squares = (
            (self.net.generate(codes, seen.turn, seen.shift) - patches)
            .square()
            .sum((1, 2, 3))
            .mean()
        )
        divergence = 0.5 * (seen.mean.square() + seen.log_variance.exp() - 1 - seen.log_variance)
        divergence = divergence.sum(1).mean()
        if self.capacity:
            divergence = (divergence - weight * self.capacity).abs()
        pixels = patches[0].numel()
        unlikely = (
            0.5 * pixels * torch.log(squares / pixels + 1e-6)
            if self.noise is None
            else squares / (2 * self.noise**2)
        )
        return unlikely + weight * self.beta * divergence
