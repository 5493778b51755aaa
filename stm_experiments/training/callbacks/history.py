"""The losses and learning rates of a run: metrics.csv."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Timer
from torch import Tensor, distributed

from stm_experiments.core.batch import Batch
from stm_experiments.core.files import write_csv
from stm_experiments.core.results.measures import is_measured
from stm_experiments.models.interfaces import Network
from stm_experiments.training.callbacks.divergence import check_finite
from stm_experiments.training.callbacks.pruning import Pruning
from stm_experiments.training.steps.record import Steps


class History(Callback):
    """Records one row of losses per epoch and writes the rows to metrics.csv.

    Besides the losses a row has what else the objective and callbacks log of an epoch.

    Checkpoints hold the rows, so that the metrics.csv of a resumed run equals that of an
    uninterrupted one: rows after the restored step are removed and written anew.

    Args:
        path: The metrics.csv file.
        logs_steps: Whether loggers get the loss and learning rate of steps too.

    Attributes:
        trained: Patches trained on since the start, or since the run was last resumed.
        stopped: Why training ended before its last epoch; None if it did not.
    """

    def __init__(self, path: Path, logs_steps: bool = False) -> None:
        self.path = path
        self.logs_steps = logs_steps
        self.trained = 0
        self.stopped: str | None = None
        self.rows: list[dict[str, float]] = []
        self._sum: Tensor = torch.zeros((), dtype=torch.float64)
        self._count = 0
        self._rate = math.nan
        self._validated = False
        self._began, self._trained_before = time.monotonic(), 0

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Batch, index: int
    ) -> None:
        """Note the learning rate of the step; after the step the schedule has changed it."""
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Batch, index: int
    ) -> None:
        """Add the losses of the steps; on a CPU, where the check is free, stop if one is NaN."""
        if "steps" in outputs:
            steps: Steps = outputs["steps"]
            losses, patches, self._rate = steps.losses * steps.patches, len(batch.noisy), steps.rate
        else:
            # Lightning divides the loss of each of the batches whose gradients make one step.
            loss = outputs["loss"].detach() * trainer.accumulate_grad_batches
            patches = len(batch.noisy)
            if batch.total is not None:
                # The loss of the whole batch is the mean of what its processes return.
                loss, patches = loss / trainer.world_size, batch.total
                distributed.all_reduce(loss)
            if self.logs_steps:
                for name, value in (("train/loss_step", loss), ("lr", self._rate)):
                    module.log(name, value, on_step=True, on_epoch=False, batch_size=1)
            losses = (loss * patches)[None]
        if losses.device.type == "cpu":
            check_finite(float(losses.sum()), trainer)
        # Term by term, as if each step came by itself.
        terms = torch.cat([self._sum.to(losses.device)[None], losses.double()])
        self._sum = terms.cumsum(0)[-1]
        self._count += patches
        self.trained += patches

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Complete the row of the epoch and write the file."""
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
        row |= {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name not in row
            and not name.endswith("_step")
            and (self._validated or not name.startswith("val/"))
        }
        self._validated = False
        if "val/loss" in row:
            check_finite(row["val/loss"], trainer)
        self.rows.append(row)
        if trainer.is_global_zero:
            self.write()
            self._log_pace(trainer)

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Note when the epoch begins."""
        self._began, self._trained_before = time.monotonic(), self.trained

    def _log_pace(self, trainer: Trainer) -> None:
        """Tell loggers the best loss so far, and what differs between equal runs: pace, memory."""
        seconds = time.monotonic() - self._began
        pace = {
            "lr": self._rate,
            "epoch_seconds": seconds,
            "patches_per_second": (self.trained - self._trained_before) / seconds,
        }
        if losses := [row["val/loss"] for row in self.rows if "val/loss" in row]:
            pace["val/best_loss"] = min(losses)
        if trainer.strategy.root_device.type == "cuda":
            pace["gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 2**20
        # Where Lightning logs the losses of the epoch, right after this.
        step = trainer.fit_loop.epoch_loop._batches_that_stepped - 1
        for logger in trainer.loggers:
            logger.log_metrics(pace, step)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Note that the measures of the validation patches are those of this epoch."""
        self._validated = True

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Note and print why training ended early; such a run is finished."""
        if not (trainer.should_stop and trainer.is_global_zero):
            return
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        timers = [callback for callback in callbacks if isinstance(callback, Timer)]
        out_of_time = timers and (timers[0].time_remaining() or 0) <= 0
        reason = "trainer.max_time" if out_of_time else "patience"
        if any(isinstance(each, Pruning) and each.has_pruned for each in callbacks):
            reason = "its study"
        where = f"epoch {len(self.rows)} of {trainer.max_epochs}, step {trainer.global_step}"
        self.stopped = f"{reason} ended it after {where}"
        print(f"training stopped: {self.stopped}")

    def write(self) -> None:
        """Write metrics.csv whole, so that it never ends in half a row."""
        columns = ["epoch", "step", "train/loss", "val/loss", "lr"]
        columns += sorted({name for row in self.rows for name in row} - set(columns))
        rows = [[row.get(name, "") for name in columns] for row in self.rows]
        write_csv(self.path, columns, rows)

    def about(self, net: Network, seconds: float) -> dict[str, Any]:
        """Return the entries of run.json about a training.

        Args:
            net: The trained network.
            seconds: Duration of the training, s.
        """
        return {
            "parameters": sum(weight.numel() for weight in net.parameters()),
            "train_seconds": seconds,
            "patches_per_second": self.trained / seconds,
            "stopped": self.stopped,
        }

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """Return points (epoch, value) of all that is measured of epochs, by its name."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        return {
            name: [(row["epoch"], row[name]) for row in self.rows if name in row]
            for name in names
            if is_measured(name)
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the rows and the sums of an unfinished epoch, for the checkpoint."""
        return {"rows": list(self.rows), "sum": float(self._sum), "count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])
        self._sum = torch.tensor(state_dict["sum"], dtype=torch.float64)
        self._count = state_dict["count"]
