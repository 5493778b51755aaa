"""Several steps of the optimiser in one call by the trainer, whose loop costs as much as a step.

The trainer gets a *stack*: the patches of several batches, one after the other. Checkpoints are
written and signals are obeyed between stacks. Everything else is as if each batch came by itself.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from stm_experiments.core.batch import Batch, split
from stm_experiments.data.module import PatchData
from stm_experiments.models.interfaces import Network
from stm_experiments.training.callbacks.divergence import check_finite
from stm_experiments.training.schedules import STEP_SCHEDULES
from stm_experiments.training.steps.record import Steps

STACKED_PATCHES = {"cpu": 4096, "cuda": 65536}  # in a stack: those of a CPU stay in its cache
LEAST_STACKS = 8  # in an epoch
NO_STEP = 10**9  # of ``log_every_n_steps``: loggers get numbers of epochs alone
STEP_HOOKS = (
    *("on_before_zero_grad", "on_before_backward", "on_after_backward"),
    "on_before_optimizer_step",
)
BATCH_HOOKS = ("on_train_batch_start", "on_train_batch_end")


class Stepper(Protocol):
    """Takes steps, at once or when their losses are asked for."""

    def take(self, batch: Batch) -> None:
        """Take a step on a batch with the optimiser's settings of now."""

    def losses(self) -> Tensor:
        """Return the losses of the steps since the last call, [K]."""
        ...


class EagerStepper:
    """Takes each step at once.

    Args:
        trainer: Its optimiser takes the steps.
        set_gradients: Sets the gradients of a batch, and returns its loss.
    """

    def __init__(self, trainer: Trainer, set_gradients: Callable[[Batch], Tensor]) -> None:
        self.trainer = trainer
        self.set_gradients = set_gradients
        self._losses: list[Tensor] = []

    def take(self, batch: Batch) -> None:
        """Take a step on a batch.

        Raises:
            Diverged: If a loss on the CPU is no longer a number.
        """
        loss = self.set_gradients(batch).detach()
        self.trainer.optimizers[0].step()
        if loss.device.type == "cpu":
            check_finite(float(loss), self.trainer)
        self._losses.append(loss)

    def losses(self) -> Tensor:
        """Return the losses of the steps since the last call, [K]."""
        losses, self._losses = torch.stack(self._losses), []
        return losses


def count_steps(net: Network, trainer: Trainer) -> int:
    """Return the number of steps in one call.

    It is 1 for networks of whole images, whose steps are long, and where the trainer is not plain
    or gets its batches from elsewhere.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]
    if net.window is None or not is_plain(trainer) or not isinstance(data, PatchData):
        return 1
    patches = STACKED_PATCHES["cuda" if trainer.strategy.root_device.type == "cuda" else "cpu"]
    return max(1, min(patches // data.settings.batch_size, data.steps_per_epoch // LEAST_STACKS))


def is_plain(trainer: Trainer) -> bool:
    """Return whether a trainer does nothing but steps on one device, and counts whole epochs."""
    return (
        trainer.world_size == 1
        and trainer.precision == "32-true"
        and trainer.gradient_clip_val is None
        and trainer.accumulate_grad_batches == 1
        and trainer.max_steps == -1
        and trainer.limit_train_batches == 1.0
        and trainer.val_check_interval == 1.0
        and not (trainer.loggers and trainer.log_every_n_steps < NO_STEP)  # type: ignore[attr-defined]
        and not any(map(looks_at_steps, trainer.callbacks))  # type: ignore[attr-defined]
    )


def looks_at_steps(callback: Callback) -> bool:
    """Return whether a callback wants each step, or the batch of each step."""
    package = type(callback).__module__.partition(".")[0]
    hooks = STEP_HOOKS if package in ("stm_experiments", "lightning") else STEP_HOOKS + BATCH_HOOKS
    return any(getattr(type(callback), name) is not getattr(Callback, name) for name in hooks)


def take_steps(module: LightningModule, stack: Batch, batch_size: int, stepper: Stepper) -> Steps:
    """Take a step for each batch of a stack.

    Args:
        module: What is trained; its schedule counts steps (``STEP_SCHEDULES``) or epochs.
        stack: The patches of several batches; the last one may be smaller.
        batch_size: Patches of a batch.
        stepper: Takes the steps.

    Raises:
        Diverged: If a loss on the CPU is no longer a number.
    """
    trainer = module.trainer
    epoch_loop = trainer.fit_loop.epoch_loop
    done = epoch_loop.manual_optimization.optim_step_progress
    schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
    per_step = [each.step for each in schedules if isinstance(each, STEP_SCHEDULES)]
    per_epoch = [each.step for each in schedules if not isinstance(each, STEP_SCHEDULES)]
    batches = split(stack, batch_size)
    for batch in batches:
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        done.increment_ready()
        done.increment_completed()
        stepper.take(batch)
        for advance in per_step:
            advance()
    epoch_loop._batches_that_stepped += len(batches) - 1  # loggers read it as the step
    if trainer.is_last_batch:
        for advance in per_epoch:
            advance()
    losses = stepper.losses()
    counts = torch.tensor([len(batch.noisy) for batch in batches])
    return Steps(losses, counts.to(losses.device, non_blocking=True), rate)
