"""The length of the gradient, by which a training that is about to diverge is known."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer


class GradientNorm(Callback):
    """Logs the norm of the gradient before it is clipped: its mean in each epoch, and of steps.

    ``train/grad_norm`` is the mean of an epoch, ``train/grad_norm_step`` that of a step for which
    ``trainer.log_every_n_steps`` asks. The mean is that of all steps also in an epoch that was
    interrupted and resumed.
    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._steps = 0

    def on_before_optimizer_step(
        self, trainer: Trainer, module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Add the norm of all gradients of the module."""
        gradients = [each.grad for each in module.parameters() if each.grad is not None]
        norm = float(get_total_norm(gradients))
        self._sum += norm
        self._steps += 1
        module.log("train/grad_norm_step", norm, on_step=True, on_epoch=False, batch_size=1)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Log the mean of the epoch."""
        module.log("train/grad_norm", self._sum / max(self._steps, 1), batch_size=1)
        self._sum, self._steps = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the sum of an unfinished epoch, for the checkpoint."""
        return {"sum": self._sum, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the sum of a checkpoint."""
        self._sum, self._steps = state_dict["sum"], state_dict["steps"]
