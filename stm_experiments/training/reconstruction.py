"""Training an autoencoder by its reconstruction error."""

import math
from collections.abc import Callable
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from stm_experiments.core.batch import Batch
from stm_experiments.models.interfaces import Network
from stm_experiments.training.batch_norm import share_batch_norm

NEGLIGIBLE = 1e-3  # power of noise that is hardly seen: 36 dB below the range of [-1, 1]


class Reconstruction(LightningModule):
    """Trains an autoencoder to give its input back, or the input without its noise.

    The loss is the mean squared error per pixel (Binev et al., section 4.3.1). Where noise of very
    different strengths is mixed, the worst patches would be all that counts: the relative loss is
    each patch's share of its noise's power that is left, which weighs mild and severe noise alike;
    a constant does not count, as a scan's absolute height is arbitrary.

    Args:
        net: Network [B, 1, h, w] -> [B, 1, h, w].
        optimizer: Takes the parameters; None for networks that are fitted in closed form.
        scheduler: Takes the optimiser and counts epochs; ``OneCycleLR`` counts steps and is told
            their total. None: a constant learning rate.
        target: ``noisy``: reproduce the input (the paper's); ``clean``: denoise it.
        loss: ``mse``, or ``relative`` with ``target=clean``.

    Raises:
        ValueError: If ``target`` or ``loss`` is none of these.
    """

    def __init__(
        self,
        net: Network,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
        target: str = "noisy",
        loss: str = "mse",
    ) -> None:
        super().__init__()
        if target not in ("noisy", "clean"):
            raise ValueError(f"model.target is 'noisy' or 'clean', not {target!r}")
        if loss not in ("mse", "relative") or (loss, target) == ("relative", "noisy"):
            raise ValueError(f"model.loss is mse, or relative with target=clean, not {loss!r}")
        # Convolutions with few channels are half as fast again when channels vary fastest.
        self.net: Network = net.to(memory_format=torch.channels_last)  # type: ignore[call-arg]
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.target = target
        self.relative = loss == "relative"

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error between reconstruction and target, or its share of the noise's."""
        wanted = self.wanted(batch)
        made = self.net(batch.noisy)
        if not self.relative:
            return F.mse_loss(made, wanted)
        left = (made - wanted).var((1, 2, 3))
        noise = (batch.noisy - wanted).var((1, 2, 3))
        return (left / (noise + NEGLIGIBLE)).mean()

    def wanted(self, batch: Batch) -> Tensor:
        """The target of a batch's patches.

        Raises:
            ValueError: If it is the clean ones, and there are none.
        """
        wanted = batch.noisy if self.target == "noisy" else batch.clean
        if wanted is None:
            raise ValueError("model.target=clean needs noise-free images, and these data have none")
        return wanted

    def setup(self, stage: str) -> None:
        """Where several processes share a batch, lets normalisation layers see the whole of it."""
        if self.trainer.world_size > 1:
            share_batch_norm(self.net)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """One step's loss; averaged over all processes, it is that of the whole batch."""
        return self.shared_out(self.own_loss(batch), batch)

    def shared_out(self, loss: Tensor, batch: Batch) -> Tensor:
        """The loss of this process's patches so that its mean over all is the whole batch's."""
        if batch.total is None:
            return loss
        return loss * (len(batch.noisy) * self.trainer.world_size / batch.total)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Logs ``val/loss``, averaged over all validation patches."""
        self.log("val/loss", self.own_loss(batch), batch_size=len(batch.noisy), sync_dist=True)

    def own_loss(self, batch: Batch) -> Tensor:
        """The loss of this process's patches; zero if a small last batch left it none."""
        return self.loss(batch) if len(batch.noisy) else self.net(batch.noisy).sum()

    def steps_in_all(self) -> int:
        """Steps of the whole training.

        The trainer's own estimate would drop the loaders' state on resuming.
        """
        return len(self.trainer.datamodule.train_dataloader()) * self.trainer.max_epochs  # type: ignore[attr-defined, operator]

    def configure_optimizers(self) -> Any:
        """The optimiser and, where there is one, its schedule."""
        if self.optimizer is None:
            raise ValueError("this model has no optimizer: it is fitted, not trained")
        optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return {"optimizer": optimizer}
        if getattr(self.scheduler, "func", None) is OneCycleLR:
            steps = self.steps_in_all()
            # Its warm-up must last longer than a step, or it divides by zero.
            least = math.ceil(2 / self.scheduler.keywords.get("pct_start", 0.3))  # type: ignore[attr-defined]
            schedule = self.scheduler(optimizer, total_steps=max(steps, least))
            interval = "step"
        else:
            schedule, interval = self.scheduler(optimizer), "epoch"
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": interval},
        }
