"""How fast we simulate and train, beside plain PyTorch.

    python -m stm_experiments.benchmarks.throughput

Everything is measured in one run on one machine, so that the ratios hold where absolute numbers do
not. The peers are (a) the per-sample Dataset and DataLoader loop that the paper's authors wrote,
(b) a bare eager loop over tensors that lie in memory, without loader, simulation or trainer.
"""

import argparse
import logging
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import median

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from stm_experiments.core.memory import keep_freed_memory
from stm_experiments.data import PatchData, PatchSettings, SimulatedData
from stm_experiments.models import CAEA
from stm_experiments.simulator import (
    CUT_LATTICES,
    LATTICES,
    NOISES,
    PRESETS,
    AnyLattice,
    render_topographs,
    simulate,
)
from stm_experiments.training import Reconstruction

SIZE = 257  # px


class PatchPerSample(Dataset):
    """One patch per index, sliced and converted when it is asked for, as in the authors' code."""

    def __init__(self, images: Tensor, positions: Tensor, window: int) -> None:
        self.images = images.squeeze(1).numpy()
        self.positions = positions.tolist()
        self.window = window

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Tensor:
        image, row, column = self.positions[index]
        patch = self.images[image][row : row + self.window, column : column + self.window]
        return torch.from_numpy(patch).unsqueeze(0)


class EpochClock(Callback):
    """Times the epochs after the first, which starts workers and warms caches."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Notes the time."""
        self.times.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Seconds per epoch."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)


def repeat(work: partial, seconds: float) -> float:
    """Calls per second of some work, repeated for a while after one warm-up."""
    work()
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        work()
        calls += 1
    return calls / elapsed


def simulation_table(batch: int, seconds: float) -> Table:
    """Topographs per second and core: clean ones per lattice and preset, and the noise alone."""
    torch.set_num_threads(1)
    table = Table(title=f"{SIZE}x{SIZE} px topographs per second on one core, batches of {batch}")
    for column in ("lattice", *PRESETS, "physical with noise=paper", "noise alone, ms"):
        table.add_column(column, justify="right")
    orientation = torch.rand(batch, 3, generator=torch.Generator().manual_seed(0))
    for lattice in LATTICES.values():
        clean = {
            preset: batch
            * repeat(partial(render_topographs, lattice, orientation, preset), seconds)
            for preset in PRESETS
            if preset == "physical" or lattice.name in CUT_LATTICES
        }
        noiseless, noisy = (
            batch * repeat(partial(simulated, lattice, batch, noise), seconds)
            for noise in ("none", "paper")
        )
        noise_ms = 1000 * (1 / noisy - 1 / noiseless)
        table.add_row(
            lattice.name,
            *(f"{clean[preset]:.0f}" if preset in clean else "" for preset in PRESETS),
            f"{noisy:.0f}",
            f"{noise_ms:.2f}",
        )
    return table


def simulated(lattice: AnyLattice, batch: int, noise: str) -> Tensor:
    """A batch of topographs with noise of the name given."""
    return simulate([lattice] * batch, range(batch), NOISES[noise], PRESETS["physical"], SIZE).noisy


def train_step(net: torch.nn.Module, optimizer: torch.optim.Optimizer, patches: Tensor) -> None:
    """One plain step on a batch."""
    optimizer.zero_grad()
    F.mse_loss(net(patches), patches).backward()
    optimizer.step()


def bare_loop(patches: Tensor, batch: int, seconds: float) -> float:
    """Patches per second of an eager loop on tensors in memory."""
    net = CAEA()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    batches = patches.split(batch)
    done, start = 0, 0.0
    for number in range(10**9):
        if number == 3:
            start = time.perf_counter()
        if number > 3 and (elapsed := time.perf_counter() - start) > seconds:
            return done / elapsed
        train_step(net, optimizer, batches[number % len(batches)])
        done += batch if number >= 3 else 0
    raise AssertionError("unreachable")


def plain_loop(dataset: Dataset, batch: int) -> float:
    """Patches per second of the per-sample loop, over one epoch."""
    net = CAEA()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    loader = DataLoader(dataset, batch_size=batch, shuffle=True, drop_last=True)
    start = time.perf_counter()
    for patches in loader:
        train_step(net, optimizer, patches)
    return len(loader) * batch / (time.perf_counter() - start)


def our_loop(images: int, per_image: int, batch: int, workers: int) -> float:
    """Patches per second of our training, end to end: fresh images simulated, cut, learnt from."""
    limits = {"spread": 18, "azimuth_max": 45.0, "tilt_max": 45.0}
    source = SimulatedData(
        lattices={"fcc": limits},
        noise=NOISES["paper"],
        size=SIZE,
        images_per_epoch=images,
        validation_images=1,
        test_images=1,
    )
    settings = PatchSettings(
        window=17,
        batch_size=batch,
        patches_per_image=per_image,
        augment=True,
        num_workers=workers,
    )
    data = PatchData(source, settings)
    clock = EpochClock()
    trainer = Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        callbacks=[clock],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(Reconstruction(CAEA(), partial(torch.optim.Adam, lr=1e-3)), data)
    return images * per_image / clock.seconds


def in_memory(count: int) -> PatchPerSample:
    """Patches of 16 simulated images at random positions."""
    topographs = simulated(LATTICES["fcc"], 16, "paper")
    draw = torch.Generator().manual_seed(0)
    highest = (16, SIZE - 16, SIZE - 16)
    drawn = [torch.randint(high, (count,), generator=draw) for high in highest]
    return PatchPerSample(topographs / topographs.abs().amax(), torch.stack(drawn, 1), 17)


def measure(loop: str, given: argparse.Namespace) -> float:
    """Patches per second of one of the three loops."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    torch.set_num_threads(given.threads)
    if loop == "ours":
        keep_freed_memory()
        return our_loop(given.images, given.per_image, given.batch, given.workers)
    if loop == "plain":
        return plain_loop(in_memory(40 * given.batch), given.batch)
    dataset = in_memory(8 * given.batch)
    patches = torch.stack([dataset[index] for index in range(len(dataset))])
    return bare_loop(patches, given.batch, given.seconds)


LOOPS = {
    "bare": "bare eager loop on tensors in memory",
    "plain": "plain Dataset and DataLoader, one patch per sample",
    "ours": "ours, end to end with simulation",
}


def training_table(given: argparse.Namespace) -> Table:
    """Patches per second of the three loops, and the ratios to the bare one.

    Each runs in a process of its own, as a user would start it: what one does to the memory
    allocator would speed up the next. They take turns, and the median of the rounds' ratios
    stands, for the speed of a shared machine drifts.
    """
    rounds: list[dict[str, float]] = []
    for _ in range(given.rounds):
        speeds = {}
        for loop in LOOPS:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                speeds[loop] = process.submit(measure, loop, given).result()
        rounds.append(speeds)
    table = Table(
        title=f"CAE-A, batches of {given.batch}, {given.per_image} patches per image, "
        f"{given.threads} threads, {given.workers} worker processes, median of {given.rounds}"
    )
    table.add_column("loop")
    table.add_column("patches per second", justify="right")
    table.add_column("ratio", justify="right")
    for loop, name in LOOPS.items():
        speed = median(speeds[loop] for speeds in rounds)
        ratio = median(speeds[loop] / speeds["bare"] for speeds in rounds)
        table.add_row(name, f"{speed:.0f}", f"{ratio:.2f}")
    return table


def main() -> None:
    """Measures and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of training")
    parser.add_argument("--batch", type=int, default=1024, help="patches of a training step")
    parser.add_argument("--images", type=int, default=128, help="images of an epoch")
    parser.add_argument("--per-image", type=int, default=512, help="patches of an image and epoch")
    parser.add_argument("--workers", type=int, default=0, help="processes that simulate")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of the three loops in turn")
    given = parser.parse_args()
    console = Console()
    console.print(simulation_table(32, given.seconds / 3))
    console.print(training_table(given))


if __name__ == "__main__":
    main()
