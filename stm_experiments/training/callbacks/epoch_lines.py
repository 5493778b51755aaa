"""Lines of progress for a log, where no terminal shows a bar."""

import logging
import time

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

log = logging.getLogger(__name__)


class EpochLines(Callback):
    """Logs the losses of epochs and the time that is left.

    Args:
        seconds: Least time between two lines; the last epoch always has one.
    """

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds
        self._last = self._began = 0.0
        self._done = 0  # epochs before this training began, of a resumed run

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Note when and where the training begins."""
        self._last = self._began = time.monotonic()
        self._done = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Log a line such as "epoch 3 of 12: train/loss 0.56, val/loss 0.079; 11 minutes left"."""
        now, epoch, last = time.monotonic(), trainer.current_epoch + 1, trainer.max_epochs or -1
        if not trainer.is_global_zero or (now - self._last < self.seconds and epoch != last):
            return
        self._last = now
        losses = ", ".join(
            f"{name} {float(trainer.callback_metrics[name]):.4g}"
            for name in ("train/loss", "val/loss")
            if name in trainer.callback_metrics
        )
        of_all, left = "", ""
        if last > 0:
            of_all = f" of {last}"
            minutes = (now - self._began) / (epoch - self._done) * (last - epoch) / 60
            left = f"; {minutes:.0f} minutes left" if minutes >= 1 else ""
        log.info("epoch %d%s: %s%s", epoch, of_all, losses, left)
