"""The end of a training whose loss is no longer a number."""

import math

from lightning import Trainer


class Diverged(RuntimeError):
    """The loss is not finite; more steps would waste time and overwrite good weights."""


def check_finite(value: float, trainer: Trainer) -> None:
    """Stop a diverged run.

    Args:
        value: A loss, or a norm of weights.
        trainer: The trainer, which knows the step.

    Raises:
        Diverged: If the value is NaN or infinite.
    """
    if not math.isfinite(value):
        raise Diverged(
            f"training diverged: the loss is {value} at epoch {trainer.current_epoch + 1}, step "
            f"{trainer.global_step}; lower model.optimizer.lr (the last good checkpoint is kept)"
        )
