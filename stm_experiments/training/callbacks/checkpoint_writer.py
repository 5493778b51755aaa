"""The checkpoints of a run: the best one, the last one and the one before."""

import math
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch.nn.utils import get_total_norm

from stm_experiments.core.files import atomic_write
from stm_experiments.models.interfaces import Card
from stm_experiments.training.callbacks.divergence import check_finite
from stm_experiments.training.stop_signals import StopSignals

LOSS = "val/loss"


class CheckpointWriter(Checkpoint):
    """Writes ``best.ckpt``, ``last.ckpt`` and ``previous.ckpt``.

    The best epoch is that of the best ``best_by``, if that is measured on the validation patches of
    each epoch, otherwise that of the lowest ``val/loss``.

    Every file is written under another name and then renamed, so that a kill at any moment leaves
    complete files. ``previous.ckpt`` replaces a ``last.ckpt`` that the disk has damaged.

    A signal to stop waits until the step is saved; see ``StopSignals``.

    Args:
        folder: Folder of the files.
        minutes: Interval after which ``last.ckpt`` is written within an epoch, minutes.
        card: Description of the network in the files.
        best_by: Name of a measure.
        highest_is_best: Whether more of it is better.
    """

    def __init__(
        self,
        folder: Path,
        minutes: float,
        card: Card,
        best_by: str = LOSS,
        highest_is_best: bool = False,
    ) -> None:
        self.folder = folder
        self.minutes = minutes
        self.card = card
        self.best_by = best_by
        self.highest_is_best = highest_is_best
        self.best = math.inf  # lower is better; the negative of a measure whose highest is best
        self._saved_at = time.monotonic()
        self._signals = StopSignals()

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Catch signals to stop from now on."""
        self._signals.catch(ignore=not trainer.is_global_zero)

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Let signals act at once from now on, as the weights are saved."""
        self._signals.release()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Write ``last.ckpt`` at the end of the interval, or on a signal.

        After the last batch of an epoch nothing is written: from such a checkpoint, Lightning would
        resume without the validation of the epoch.
        """
        stop = trainer.received_sigterm or self._signals.pending
        due = stop or time.monotonic() - self._saved_at > 60 * self.minutes
        # Clocks differ, but all processes have to save together.
        if trainer.strategy.reduce_boolean_decision(due, all=False) and not trainer.is_last_batch:
            self.save_last(trainer)
            if trainer.strategy.reduce_boolean_decision(self._signals.pending, all=False):
                self._signals.act()
                self._signals.wait_for_end()

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write ``last.ckpt`` and, after a better validation, ``best.ckpt``."""
        value = self._value(trainer)
        better, self.best = value < self.best, min(value, self.best)
        # Best first: after a kill in between, the resumed run repeats the epoch and writes both.
        if better:
            self.write(trainer, "best.ckpt")
        self.save_last(trainer, "best.ckpt" if better else None)

    def _value(self, trainer: Trainer) -> float:
        """Return the measure of the epoch: less is better; without validation, later is better."""
        measured = trainer.callback_metrics
        if self.best_by.startswith("val/") and self.best_by in measured:
            value = float(measured[self.best_by])
            return -value if self.highest_is_best else value
        return float(measured.get(LOSS, -trainer.current_epoch))

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        """Kill the processes that this one has started: they would wait for it forever."""
        if (launcher := trainer.strategy.launcher) is not None:
            launcher.kill(signal.SIGKILL)

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the card, so that the file can be loaded without its run."""
        checkpoint["card"] = asdict(self.card)

    def save_last(self, trainer: Trainer, copied: str | None = None) -> None:
        """Write ``last.ckpt``; the one before becomes ``previous.ckpt``.

        Args:
            trainer: Whose state is saved.
            copied: Name of a file that holds this state already; None: there is none.

        Raises:
            Diverged: If the weights are no longer finite; the files stay as they are.
        """
        check_finite(float(get_total_norm(trainer.lightning_module.parameters())), trainer)
        self.write(trainer, "last.ckpt", backup="previous.ckpt", copied=copied)
        self._saved_at = time.monotonic()

    def write(
        self, trainer: Trainer, name: str, backup: str | None = None, copied: str | None = None
    ) -> None:
        """Write one checkpoint.

        Args:
            trainer: Whose state is saved.
            name: Name of the file.
            backup: New name of a file that has this name already; None: it is replaced.
            copied: As for ``save_last``: a copy takes a fraction of the time.
        """
        path, part = self.folder / name, self.folder / f".{name}.part"
        if copied is None:
            trainer.save_checkpoint(part, weights_only=False)
        elif trainer.is_global_zero:
            with atomic_write(part) as file:
                file.write((self.folder / copied).read_bytes())
        if trainer.is_global_zero:
            if backup and path.exists():
                os.replace(path, self.folder / backup)
            os.replace(part, path)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, for the checkpoint."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best value of the run."""
        self.best = state_dict["best"]
