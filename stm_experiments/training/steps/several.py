"""Several steps of the optimiser in one call by the trainer, whose loop costs as much as a step.

The trainer gets a *stack*: the patches of several batches, one after the other. Checkpoints are
written and signals are obeyed between stacks. Everything else is as if each batch came by itself.
"""

from collections.abc import Callable

from lightning import LightningModule, Trainer
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from stm_experiments.core.batch import Batch, split
from stm_experiments.data.module import PatchData
from stm_experiments.models.interfaces import Network
from stm_experiments.training.callbacks.divergence import check_finite
from stm_experiments.training.steps.step import Step

STACKED_PATCHES = 4096  # in a stack: its patches stay in the cache
LEAST_STACKS = 8  # in an epoch


def count_steps(net: Network, trainer: Trainer) -> int:
    """Return the number of steps in one call.

    It is 1 for networks of whole images, whose steps are long, and where the trainer does more
    with the gradients than the optimiser.
    """
    is_plain = (
        trainer.world_size == 1
        and trainer.precision == "32-true"
        and trainer.gradient_clip_val is None
        and trainer.accumulate_grad_batches == 1
        and trainer.max_steps == -1
        and trainer.limit_train_batches == 1.0
        and trainer.val_check_interval == 1.0
    )
    if net.window is None or not is_plain:
        return 1
    data: PatchData = trainer.datamodule  # type: ignore[attr-defined]
    most = min(STACKED_PATCHES // data.settings.batch_size, data.steps_per_epoch // LEAST_STACKS)
    return max(1, most)


def take_steps(
    module: LightningModule, stack: Batch, batch_size: int, set_gradients: Callable[[Batch], Tensor]
) -> list[Step]:
    """Take a step for each batch of a stack.

    Args:
        module: What is trained; a schedule counts steps if it is a ``OneCycleLR``, else epochs.
        stack: The patches of several batches; the last one may be smaller.
        batch_size: Patches of a batch.
        set_gradients: Sets the gradients of a batch, and returns its loss.

    Raises:
        Diverged: If a loss on the CPU is no longer a number.
    """
    trainer = module.trainer
    optimizer = trainer.optimizers[0]
    schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
    per_step = [each.step for each in schedules if isinstance(each, OneCycleLR)]
    per_epoch = [each.step for each in schedules if not isinstance(each, OneCycleLR)]
    epoch_loop = trainer.fit_loop.epoch_loop
    done = epoch_loop.manual_optimization.optim_step_progress
    batches = split(stack, batch_size)
    steps = []
    for batch in batches:
        rate = optimizer.param_groups[0]["lr"]
        loss = set_gradients(batch).detach()
        done.increment_ready()
        optimizer.step()
        done.increment_completed()
        for advance in per_step:
            advance()
        if loss.device.type == "cpu":
            check_finite(float(loss), trainer)
        steps.append(Step(loss, len(batch.noisy), rate))
    epoch_loop._batches_that_stepped += len(batches) - 1  # loggers read it as the step
    if trainer.is_last_batch:
        for advance in per_epoch:
            advance()
    return steps
