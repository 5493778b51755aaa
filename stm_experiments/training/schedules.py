"""Learning rates along a training, besides the schedules of PyTorch."""

import math
from collections.abc import Mapping
from typing import Any

from lightning import Trainer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, CyclicLR, LambdaLR, OneCycleLR


class CosineWarmUp(LambdaLR):
    """A learning rate that rises along a line, then falls along a cosine.

    Args:
        optimizer: Has the largest learning rate.
        total_steps: Steps of the whole training.
        warm_up: Share of the steps in which the rate rises, 0 to below 1.
        least: Rate at the end over the largest.

    Raises:
        ValueError: If a share is out of range.
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warm_up: float = 0.1, least: float = 0.0
    ) -> None:
        if not 0 <= warm_up < 1 or not 0 <= least <= 1:
            raise ValueError(
                f"scheduler: warm_up is from 0 to below 1, and least from 0 to 1, not {warm_up!r} "
                f"and {least!r}"
            )
        rising = max(1, round(warm_up * total_steps))
        falling = max(1, total_steps - rising)

        def rate(step: int) -> float:
            if warm_up and step < rising:
                return (step + 1) / rising
            done = min(1.0, (step - rising) / falling) if warm_up else min(1.0, step / total_steps)
            return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * done))

        super().__init__(optimizer, rate)


FIXED_SCHEDULES = (CosineWarmUp, CosineAnnealingLR, OneCycleLR)  # end with the last epoch
STEP_SCHEDULES = (CosineWarmUp, CyclicLR, OneCycleLR)  # all others count epochs


def is_of_fixed_length(model: Mapping[str, Any]) -> str:
    """Return what follows from the number of epochs, a schedule or an objective; empty if nothing.

    Args:
        model: Section ``model`` of a config.
    """
    names = {kind.__name__ for kind in FIXED_SCHEDULES}
    schedule = str((model.get("scheduler") or {}).get("_target_", "")).rpartition(".")[2]
    objective = str(model.get("_target_", "")).rpartition(".")[2]
    if schedule in names:
        return f"the schedule {schedule}"
    return f"the schedule of {objective}" if objective in ("Variational", "Stacked") else ""


def steps_of_training(trainer: Trainer, batches: int) -> int:
    """Return the number of steps of the optimiser in a whole training.

    Args:
        trainer: Its limits, and the batches that it gathers for a step.
        batches: In an epoch of the data.
    """
    limit = trainer.limit_train_batches
    if isinstance(limit, float):
        batches = int(batches * limit)
    elif limit is not None:
        batches = min(batches, limit)
    steps = -(-batches // trainer.accumulate_grad_batches) * (trainer.max_epochs or 1)
    return min(steps, trainer.max_steps) if trainer.max_steps > 0 else steps
