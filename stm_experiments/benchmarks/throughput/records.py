"""What the records of every run cost: a training with them against the same one without.

    python -m stm_experiments.benchmarks.throughput.records

Both train CAE-A on simulated fcc patches as ``python train.py`` does. The records are metrics.csv,
the checkpoints, the first reconstructions and the progress bar. Trainings with and without them
take turns; processor time counts, so that a busy machine tells almost the same.
"""

import argparse
import statistics
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar
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

EPOCHS, IMAGES = 4, 256  # epochs as long as those of train.py, which has 16 of them


def records(net: CAEA, data: PatchData, folder: Path) -> list[Callback]:
    """Return the callbacks that every run has."""
    return [
        History(folder / "metrics.csv"),
        FirstReconstruction(net, data.samples(8).noisy),
        CheckpointWriter(folder / "checkpoints", 10, card_of(net)),
        RichProgressBar(refresh_rate=10),
    ]


def training_seconds(recorded: bool) -> float:
    """Return the processor time of a training, s."""
    torch.manual_seed(0)
    data = PatchData(
        SimulatedData("fcc", images_per_epoch=IMAGES, validation_images=4, test_images=8),
        PatchSettings(window=CAEA.window, num_workers=0),
    )
    net = CAEA()
    model = Reconstruction(
        net, partial(Adam, lr=0.005), partial(OneCycleLR, max_lr=0.005), fused="auto"
    )
    with TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=EPOCHS,
            callbacks=records(net, data, Path(folder)) if recorded else [],
            logger=False,
            num_sanity_val_steps=0,
            enable_checkpointing=recorded,
            enable_model_summary=False,
            enable_progress_bar=recorded,
            use_distributed_sampler=False,
        )
        start = time.process_time()
        trainer.fit(model, data)
        return time.process_time() - start


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Compare trainings with and without records.")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of trainings")
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    keep_freed_memory()
    quieten_lightning()
    training_seconds(True)  # imports, and compiles the fused step
    pairs = [(training_seconds(True), training_seconds(False)) for _ in range(repeats)]
    ratios = sorted(recorded / bare for recorded, bare in pairs)
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    print(f"with records {medians[0]:.2f} CPU s, without {medians[1]:.2f} CPU s")
    print(f"ratio {statistics.median(ratios):.3f} (from {ratios[0]:.3f} to {ratios[-1]:.3f})")


if __name__ == "__main__":
    main()
