"""What a run keeps of itself: its curves, its first reconstruction, its checkpoints."""

import csv
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping, Timer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch import Tensor, distributed
from torch.nn.utils import get_total_norm

from stm_experiments.core.files import atomic_write
from stm_experiments.models.interfaces import Network
from stm_experiments.training.cluster import Warnings

COLUMNS = ("epoch", "step", "train/loss", "val/loss", "lr")


class Diverged(RuntimeError):
    """The loss is no longer a number; going on would waste time and overwrite good weights."""


class History(Callback):
    """Keeps one row of losses per epoch and writes them to metrics.csv.

    The rows travel in the checkpoints, so that a resumed run's metrics.csv is that of an
    uninterrupted one: rows after the restored step vanish and are written anew.

    Args:
        path: The metrics.csv file.

    Attributes:
        trained: Patches trained on since the start or the last resuming, for the speed.
        stopped: Why training ended before its last epoch; None if it did not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trained = 0
        self.stopped: str | None = None
        self.rows: list[dict[str, float]] = []
        self._sum: Tensor = torch.zeros((), dtype=torch.float64)
        self._count = 0
        self._rate = math.nan

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, index: int
    ) -> None:
        """Notes the learning rate of the step: afterwards the schedule has set the next one's."""
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Adds a step's loss; on a CPU, where that costs nothing, stops at once if it is NaN."""
        loss, patches = outputs["loss"].detach(), len(batch.noisy)
        if batch.total is not None:
            # The loss of the whole batch is the mean of what its processes return.
            loss, patches = loss / trainer.world_size, batch.total
            distributed.all_reduce(loss)
        if loss.device.type == "cpu":
            check_finite(float(loss), trainer)
        self._sum = self._sum.to(loss.device) + loss * patches
        self._count += patches
        self.trained += patches

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Closes the epoch's row and writes the file."""
        train_loss = float(self._sum) / max(self._count, 1)
        check_finite(train_loss, trainer)
        self._sum, self._count = torch.zeros((), dtype=torch.float64), 0
        module.log("train/loss", train_loss, sync_dist=True)
        row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "train/loss": train_loss,
            "lr": self._rate,
        }
        if "val/loss" in trainer.callback_metrics:
            row["val/loss"] = float(trainer.callback_metrics["val/loss"])
            check_finite(row["val/loss"], trainer)
        self.rows.append(row)
        if trainer.is_global_zero:
            self.write()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Says so if training ended early: a run of which less was wanted is a finished run."""
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        left = [c.time_remaining() or 0 for c in callbacks if isinstance(c, Timer)]
        if trainer.should_stop and trainer.is_global_zero:
            reason = "trainer.max_time" if left and left[0] <= 0 else "patience"
            where = f"epoch {len(self.rows)} of {trainer.max_epochs}, step {trainer.global_step}"
            self.stopped = f"{reason} ended it after {where}"
            print(f"training stopped: {self.stopped}")

    def write(self) -> None:
        """Writes metrics.csv whole, so that it never ends in half a row."""
        with (
            atomic_write(self.path) as part,
            part.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)

    def about(self, net: Network, seconds: float) -> dict[str, Any]:
        """What run.json says of a training of so many seconds."""
        return {
            "parameters": sum(weight.numel() for weight in net.parameters()),
            "train_seconds": seconds,
            "patches_per_second": self.trained / seconds,
            "stopped": self.stopped,
        }

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """Points (epoch, loss) of the training and, where there is one, validation curve."""
        return {
            key: [(row["epoch"], row[key]) for row in self.rows if key in row]
            for key in ("train/loss", "val/loss")
            if any(key in row for row in self.rows)
        }

    def state_dict(self) -> dict[str, Any]:
        """Rows so far, and the sums of an epoch that is under way."""
        return {"rows": list(self.rows), "sum": float(self._sum), "count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes back to the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])
        self._sum = torch.tensor(state_dict["sum"], dtype=torch.float64)
        self._count = state_dict["count"]


def check_finite(loss: float, trainer: Trainer) -> None:
    """Stops a diverged run.

    Raises:
        Diverged: If the loss is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise Diverged(
            f"training diverged: the loss is {loss} at epoch {trainer.current_epoch + 1}, step "
            f"{trainer.global_step}; lower model.optimizer.lr (the last good checkpoint is kept)"
        )


class FirstReconstruction(Callback):
    """Keeps the reconstructions of a few patches after the first epoch (the paper's Figure 13).

    Args:
        net: The network that is trained.
        patches: The patches [B, 1, h, w].
    """

    def __init__(self, net: Network, patches: Tensor) -> None:
        self.net = net
        self.patches = patches
        self.reconstructions: Tensor | None = None

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Reconstructs the patches once."""
        if self.reconstructions is None:
            was_training = self.net.training
            self.net.eval()
            with torch.inference_mode():
                self.reconstructions = self.net(self.patches.to(module.device)).cpu().clone()
            self.net.train(was_training)

    def state_dict(self) -> dict[str, Any]:
        """The reconstructions, if the first epoch is over."""
        return {"reconstructions": self.reconstructions}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the reconstructions of a checkpoint."""
        self.reconstructions = state_dict["reconstructions"]


class Patience(EarlyStopping):
    """Early stopping that holds: a run that had stopped does not go on when it is resumed."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Stops at once if the patience was at its end in the restored checkpoint."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class Checkpoints(Checkpoint):
    """Writes ``best.ckpt`` (lowest ``val/loss``), ``last.ckpt`` and the one before it.

    Every file is written aside and moved into place, so that a kill at any moment leaves a whole
    file; ``previous.ckpt`` is there for a disk that damages one.

    A signal that asks for an end waits until the step is saved; see ``cluster.Warnings``.

    Args:
        folder: Where they go.
        minutes: Time after which ``last.ckpt`` is written within an epoch.
        card: What the files say of themselves; see ``checkpoint.Card``.
    """

    def __init__(self, folder: Path, minutes: float, card: dict[str, Any]) -> None:
        self.folder = folder
        self.minutes = minutes
        self.card = card
        self.best = math.inf
        self._saved_at = time.monotonic()
        self._cluster = Warnings()

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Listens to signals that ask for an end."""
        self._cluster.listen(trainer.is_global_zero)

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """From now on a warning may act at once: the weights are kept."""
        self._cluster.stop_listening()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Writes ``last.ckpt`` when the last one is older than the interval, or when warned.

        Not after an epoch's last batch: Lightning would go on from there without its validation.
        """
        warned = trainer.received_sigterm or self._cluster.warned
        due = warned or time.monotonic() - self._saved_at > 60 * self.minutes
        # Clocks differ, but all processes have to save together.
        if trainer.strategy.reduce_boolean_decision(due, all=False) and not trainer.is_last_batch:
            self.save_last(trainer)
            if trainer.strategy.reduce_boolean_decision(self._cluster.warned, all=False):
                self._cluster.heed()
                self._cluster.wait_for_end()

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Writes ``last.ckpt`` and, after a better validation, ``best.ckpt``."""
        loss = float(trainer.callback_metrics.get("val/loss", -trainer.current_epoch))
        better, self.best = loss < self.best, min(loss, self.best)
        # Best first: killed in between, a resumed run repeats the epoch and finds it again.
        if better:
            self._write(trainer, "best.ckpt")
        self.save_last(trainer)

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        """Ends the processes that train with this one: they would wait for it for ever."""
        if isinstance(launcher := trainer.strategy.launcher, _SubprocessScriptLauncher):
            launcher.kill(signal.SIGKILL)

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the card, so that the file can be loaded without its run."""
        checkpoint["card"] = self.card

    def save_last(self, trainer: Trainer) -> None:
        """Writes ``last.ckpt``, keeping the one before.

        Raises:
            Diverged: If the weights are no longer finite; the files are left as they are.
        """
        check_finite(float(get_total_norm(trainer.lightning_module.parameters())), trainer)
        self._write(trainer, "last.ckpt", keep="previous.ckpt")
        self._saved_at = time.monotonic()

    def _write(self, trainer: Trainer, name: str, keep: str | None = None) -> None:
        path = self.folder / name
        if not trainer.is_global_zero:  # takes part in the saving and writes nothing
            trainer.save_checkpoint(path, weights_only=False)
            return
        with atomic_write(path) as part:
            trainer.save_checkpoint(part, weights_only=False)
            if keep and path.exists():
                os.replace(path, self.folder / keep)

    def state_dict(self) -> dict[str, Any]:
        """The best validation loss so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on comparing with the best validation loss of the run."""
        self.best = state_dict["best"]
