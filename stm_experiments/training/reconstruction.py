"""Training an autoencoder by its reconstruction error."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from stm_experiments.core.batch import Batch
from stm_experiments.core.results.measures import Measure
from stm_experiments.data.module import PatchData
from stm_experiments.models.interfaces import Network
from stm_experiments.training.batch_norm import share_batch_norm
from stm_experiments.training.schedules import STEP_SCHEDULES, CosineWarmUp, steps_of_training
from stm_experiments.training.steps.fused import choose_fused, fast_options
from stm_experiments.training.steps.graph import GraphStepper
from stm_experiments.training.steps.several import (
    BATCH_HOOKS,
    STEP_HOOKS,
    EagerStepper,
    Stepper,
    count_steps,
    is_plain,
    take_steps,
)

if TYPE_CHECKING:
    from stm_experiments.models.fused.loss import FusedLoss

# Where a subclass may change a step.
HOOKS = (*STEP_HOOKS, *BATCH_HOOKS, "backward", "optimizer_step", "lr_scheduler_step")


class Reconstruction(LightningModule):
    """Trains a network to reproduce its input, or the input without its noise.

    The loss is the mean squared error per pixel (Binev et al., section 4.3.1). With noise of very
    different strengths in the data, this loss depends on the noisiest patches only. The relative
    loss is the share of the noise power of each patch that is left, so that mild and severe noise
    have equal weight. It ignores a constant offset, as the absolute height of a scan is arbitrary.

    Args:
        net: The network to train.
        optimizer: Maps the parameters to an optimiser; None for networks that are fitted in closed
            form.
        scheduler: Maps the optimiser to a schedule that counts epochs; ``OneCycleLR`` and
            ``CosineWarmUp`` count steps and receive their total, ``CyclicLR`` counts steps, and
            ``ReduceLROnPlateau`` follows ``val/loss``. None: a constant learning rate.
        target: ``noisy``: reproduce the input, as in the paper; ``clean``: denoise it.
        loss: ``mse``, or ``relative`` with ``target=clean``.
        negligible_noise: Mean squared noise on [-1, 1] from which on the relative loss gives less
            weight to a patch; it keeps the loss of patches without noise finite. The default is
            hardly visible, 36 dB below the squared range.
        fused: Train CAE-A by its compiled step, five to ten times as fast on a CPU: ``auto`` (where
            that is possible), True or False. ``graph``: any patch network as one CUDA graph of many
            steps of Adam, on one device; not measured yet.

    Attributes:
        steps_at_once: Steps that are taken on what the trainer takes for one batch.

    Raises:
        ValueError: If ``target``, ``loss`` or ``fused`` is none of these.
    """

    loss_label: str | None = None  # what the loss is, with its unit, for pictures
    measures: ClassVar[Mapping[str, Measure]] = {}  # what else it logs, by name without split

    def __init__(
        self,
        net: Network,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
        target: str = "noisy",
        loss: str = "mse",
        negligible_noise: float = 1e-3,
        fused: bool | str = False,
    ) -> None:
        super().__init__()
        if target not in ("noisy", "clean"):
            raise ValueError(f"model.target is 'noisy' or 'clean', not {target!r}")
        if loss not in ("mse", "relative") or (loss, target) == ("relative", "noisy"):
            raise ValueError(f"model.loss is mse, or relative with target=clean, not {loss!r}")
        if fused not in ("auto", "graph", True, False):
            raise ValueError(f"model.fused is auto, true, false or graph, not {fused!r}")
        # Convolutions with few channels are 1.5 times as fast when channels vary fastest in memory.
        # LBFGS takes no such gradients.
        is_lbfgs = isinstance(optimizer, partial) and optimizer.func is LBFGS
        layout = torch.contiguous_format if is_lbfgs else torch.channels_last
        self.net: Network = net.to(memory_format=layout)  # type: ignore[call-arg]
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.target = target
        if not negligible_noise > 0:
            raise ValueError(f"model.negligible_noise must be above 0, got {negligible_noise!r}")
        self.loss_name = loss
        self.fused = fused
        self.fused_loss: FusedLoss | None = None
        self.negligible_noise = negligible_noise
        self.steps_at_once = 1
        self._stepper: Stepper | None = None

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch: mean squared error, or its mean share of the noise power."""
        target = self.target_of(batch)
        if self.fused_loss is not None:
            return self.fused_loss(batch.noisy, target)
        reconstruction = self.net(batch.noisy)
        if self.loss_name == "mse":
            return F.mse_loss(reconstruction, target)
        residual = (reconstruction - target).var((1, 2, 3))
        noise = (batch.noisy - target).var((1, 2, 3))
        return (residual / (noise + self.negligible_noise)).mean()

    def curve_label(self) -> str | None:
        """Return what the loss is; None: the mean squared error per px of what is reconstructed.

        A subclass with another loss sets ``loss_label``.
        """
        if self.loss_label is not None:
            return self.loss_label
        if type(self).loss is not Reconstruction.loss:
            return f"loss of {type(self).__name__}"
        return "share of the noise power that is left" if self.loss_name == "relative" else None

    def target_of(self, batch: Batch) -> Tensor:
        """Return the patches that the network should output, [B, 1, h, w].

        Raises:
            ValueError: If these are the clean patches, and there are none.
        """
        target = batch.noisy if self.target == "noisy" else batch.clean
        if target is None:
            raise ValueError("model.target=clean needs noise-free images, and these data have none")
        return target

    def setup(self, stage: str) -> None:
        """Choose how the loss is computed, and how many steps of a training are taken in one call.

        Where several processes share a batch, normalisation layers use the whole of it.

        Raises:
            ValueError: If ``fused`` is True and CAE-A's compiled step cannot be used.
        """
        if self.fused == "graph":
            if self.loss_name != "mse" or not is_plain(self.trainer) or self.needs_trainer():
                raise ValueError(
                    "model.fused=graph needs model.loss=mse, one device, precision=32-true, and no "
                    "gradient_clip_val, log_every_n_steps or callback that looks at steps"
                )
        else:
            self.fused_loss = choose_fused(self.fused, self.net, self.loss_name, self.trainer)
        if self.trainer.world_size > 1:
            share_batch_norm(self.net)
        if stage == "fit" and type(self).training_step is Reconstruction.training_step:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            alone = self.needs_trainer() or not isinstance(data, PatchData)  # the user's loader
            self.steps_at_once = 1 if alone else count_steps(self.net, self.trainer)
            self.automatic_optimization = self.steps_at_once == 1 and self.fused != "graph"
            self._stepper = None

    def needs_trainer(self) -> bool:
        """Return whether only the trainer can step: optimiser, schedule or a hook ask for more."""
        parts = (self.optimizer, self.scheduler)
        kinds = {each.func for each in parts if isinstance(each, partial)}
        kind = type(self)
        hooked = any(getattr(kind, name) is not getattr(Reconstruction, name) for name in HOOKS)
        return hooked or bool(kinds & {LBFGS, ReduceLROnPlateau})

    def training_step(self, batch: Batch, _: int) -> Any:
        """Return the loss of a step; its mean over all processes is the loss of the whole batch.

        If the trainer does not step, take several steps on the batches of a stack instead, and
        return them as ``steps``.
        """
        if self.automatic_optimization:
            return self.weighted(self.process_loss(batch), batch)
        size = self.trainer.datamodule.settings.batch_size  # type: ignore[attr-defined]
        if self._stepper is None:
            self._stepper = self._make_stepper()
        return {"steps": take_steps(self, batch, size, self._stepper)}

    def _make_stepper(self) -> Stepper:
        """Return what takes the steps, once the optimiser is as it was when a run was resumed."""
        if self.fused == "graph":
            return GraphStepper(self.net, self.trainer.optimizers[0], self.target_of)
        return EagerStepper(self.trainer, self.set_gradients)

    def set_gradients(self, batch: Batch) -> Tensor:
        """Set the gradients of the loss of a batch, and return the loss."""
        if self.fused_loss is not None:
            return self.fused_loss.set_gradients(batch.noisy, self.target_of(batch))
        loss = self.loss(batch)
        self.zero_grad()
        self.manual_backward(loss)
        return loss

    def weighted(self, loss: Tensor, batch: Batch) -> Tensor:
        """Weight the loss of this process by its share of the patches of the whole batch."""
        if batch.total is None:
            return loss
        return loss * (len(batch.noisy) * self.trainer.world_size / batch.total)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Forget the gradients of the last step, without the bookkeeping of the optimiser."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def validation_step(self, batch: Batch, _: int) -> None:
        """Log ``val/loss``, the mean over all validation patches."""
        self.log_validation(batch, loss=self.process_loss(batch))

    def log_validation(self, batch: Batch, **values: Tensor) -> None:
        """Log means over the patches of a validation batch, as ``val/<name>``."""
        for name, value in values.items():
            self.log(f"val/{name}", value, batch_size=len(batch.noisy), sync_dist=True)

    def test_step(self, batch: Batch, index: int) -> None:
        """Log the squared errors per pixel, ``test/mse_noisy`` and, where there are, ``mse_clean``.

        They are means over all test patches, as in metrics.json.
        """
        reconstruction = self.net(batch.noisy)
        for name, target in (("noisy", batch.noisy), ("clean", batch.clean)):
            if target is not None:
                error = F.mse_loss(reconstruction, target)
                self.log(f"test/mse_{name}", error, batch_size=len(target), sync_dist=True)

    def predict_step(self, batch: Batch, _: int) -> Tensor:
        """Return the reconstructions of a batch, [B, 1, h, w]."""
        reconstruction: Tensor = self.net(batch.noisy)
        return reconstruction

    def process_loss(self, batch: Batch) -> Tensor:
        """Return the loss of the patches of this process; 0 if a small last batch has none."""
        return self.loss(batch) if len(batch.noisy) else self.net(batch.noisy).sum()

    def total_steps(self) -> int:
        """Return the number of steps of the optimiser in the whole training.

        The trainer's own estimate would discard the state of the loaders when a run is resumed.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if data is None:  # a loader of the user's own
            return int(self.trainer.estimated_stepping_batches)
        return steps_of_training(self.trainer, data.steps_per_epoch)

    def configure_optimizers(self) -> Any:
        """Return the optimiser and, if there is one, its schedule."""
        if self.optimizer is None:
            raise ValueError("this model has no optimizer: it is fitted, not trained")
        options = {} if self.fused_loss is None else fast_options(self.optimizer)
        optimizer = self.optimizer(self.parameters(), **options)
        if self.scheduler is None:
            return {"optimizer": optimizer}
        kind, keywords = None, {}
        if isinstance(self.scheduler, partial):
            kind, keywords = self.scheduler.func, self.scheduler.keywords
        if kind is OneCycleLR:
            # The rise must last longer than a step: OneCycleLR divides by its length.
            least = math.ceil(2 / keywords.get("pct_start", 0.3))
            schedule = self.scheduler(optimizer, total_steps=max(self.total_steps(), least))
        elif kind is CosineWarmUp:
            schedule = self.scheduler(optimizer, total_steps=self.total_steps())
        else:
            schedule = self.scheduler(optimizer)
        if not self.automatic_optimization:
            return {"optimizer": optimizer, "lr_scheduler": schedule}
        interval = "step" if kind in STEP_SCHEDULES else "epoch"
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": interval, "monitor": "val/loss"},
        }
