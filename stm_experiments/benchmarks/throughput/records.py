"""What the records of every run cost: the share of its training's processor time.

    python -m stm_experiments.benchmarks.throughput.records

Trains CAE-A on simulated fcc patches as ``python train.py`` does, and measures the processor time
of the callbacks that every run has: those of metrics.csv, the checkpoints, the first
reconstructions and the progress bar. Measured so, a busy machine tells almost the same; trainings
with and without records differ by more than the records cost.
"""

import argparse
import statistics
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.profilers import Profiler
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR

from stm_experiments.app.logs import quieten_lightning
from stm_experiments.core.memory import keep_freed_memory
from stm_experiments.data import PatchSettings, SimulatedData
from stm_experiments.data.module import PatchData
from stm_experiments.models import CAEA
from stm_experiments.models.checkpoint import card_of
from stm_experiments.training import Reconstruction
from stm_experiments.training.callbacks import CheckpointWriter, FirstReconstruction, History

EPOCHS, IMAGES = 16, 256  # those of train.py
CALLBACK = "[Callback]"  # before the names of callbacks and their hooks in Lightning's profilers


class CallbackTimes(Profiler):
    """Adds up the processor time of each callback.

    Attributes:
        seconds: By the name of the callback, s.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)
        self._under_way: list[str] = []
        self._began = 0.0

    def start(self, action_name: str) -> None:
        """Note when a callback begins."""
        if action_name.startswith(CALLBACK):
            if not self._under_way:
                self._began = time.process_time()
            self._under_way.append(action_name)

    def stop(self, action_name: str) -> None:
        """Add the time of a callback that was not called by another."""
        if action_name.startswith(CALLBACK):
            self._under_way.remove(action_name)
            if not self._under_way:
                name = action_name.removeprefix(CALLBACK).partition(".")[0]
                self.seconds[name] += time.process_time() - self._began


def records(net: CAEA, data: PatchData, folder: Path) -> list[Callback]:
    """Return the callbacks that every run has."""
    return [
        History(folder / "metrics.csv"),
        FirstReconstruction(net, data.samples(8).noisy),
        CheckpointWriter(folder / "checkpoints", 10, card_of(net)),
        RichProgressBar(refresh_rate=10),
    ]


def callback_shares(epochs: int = EPOCHS, images: int = IMAGES) -> dict[str, float]:
    """Return the part of a training's processor time that each callback takes.

    Args:
        epochs: Of the training.
        images: Of an epoch.
    """
    torch.manual_seed(0)
    data = PatchData(
        SimulatedData("fcc", images_per_epoch=images, validation_images=4, test_images=8),
        PatchSettings(window=CAEA.window, num_workers=0),
    )
    net = CAEA()
    model = Reconstruction(
        net, partial(Adam, lr=0.005), partial(OneCycleLR, max_lr=0.005), fused="auto"
    )
    times = CallbackTimes()
    with TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            callbacks=records(net, data, Path(folder)),
            profiler=times,
            logger=False,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        start = time.process_time()
        trainer.fit(model, data)
        whole = time.process_time() - start
    return {name: seconds / whole for name, seconds in times.seconds.items()}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Measure what the records of a training cost.")
    parser.add_argument("--repeats", type=int, default=3, help="trainings")
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    keep_freed_memory()
    quieten_lightning()
    callback_shares(epochs=1)  # imports, and compiles the fused step
    shares = [callback_shares() for _ in range(repeats)]
    for name in shares[0]:
        median = statistics.median(each[name] for each in shares)
        print(f"{name}: {median:.2%} of the processor time of a training")
    sums = sorted(sum(each.values()) for each in shares)
    print(f"together {statistics.median(sums):.2%} (from {sums[0]:.2%} to {sums[-1]:.2%})")


if __name__ == "__main__":
    main()
