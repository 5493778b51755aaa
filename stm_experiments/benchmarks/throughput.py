"""The speed of simulation and of training, compared with plain PyTorch.

    python -m stm_experiments.benchmarks.throughput

Everything is measured in one run on one machine: the ratios hold on other machines, the absolute
numbers do not. Training is compared with (a) the per-sample Dataset and DataLoader loop that the
paper's authors wrote, and (b) a bare eager loop over tensors in memory, without loader, simulation
or trainer.
"""

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from statistics import median

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from stm_experiments.core.memory import keep_freed_memory
from stm_experiments.data import PatchSettings, SimulatedData
from stm_experiments.data.module import PatchData
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
WINDOW = 17  # px, of CAE-A
SIMULATED_BATCH = 32  # images
WARM_UP_STEPS = 3


@dataclass(frozen=True)
class ThroughputSettings:
    """The settings of the training benchmark.

    Attributes:
        threads: Threads that train.
        batch: Patches of a training step.
        images: Images of an epoch.
        per_image: Patches of an image and epoch.
        workers: Processes that simulate.
        seconds: Time for each measurement.
        rounds: Rounds of the three loops.
    """

    threads: int
    batch: int
    images: int
    per_image: int
    workers: int
    seconds: float
    rounds: int


class PatchPerSample(Dataset[Tensor]):
    """Patches that are sliced and converted one by one, as in the authors' code.

    Args:
        images: [N, 1, H, W].
        positions: (image, row, column) of each patch's top left px, [P, 3].
    """

    def __init__(self, images: Tensor, positions: Tensor) -> None:
        self.images = images.squeeze(1).numpy()
        self.positions = positions.tolist()

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Tensor:
        image, row, column = self.positions[index]
        patch = self.images[image][row : row + WINDOW, column : column + WINDOW]
        return torch.from_numpy(patch).unsqueeze(0)


class EpochClock(Callback):
    """Measures the epochs after the first, which starts workers and warms caches."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Seconds per epoch."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)


def call_rate(work: Callable[[], object], seconds: float) -> float:
    """Return the calls of a function per second, after one call to warm up."""
    work()
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        work()
        calls += 1
    return calls / elapsed


def simulate_batch(lattice: AnyLattice, count: int, noise: str) -> Tensor:
    """Return noisy topographs [B, 1, H, W] of a lattice."""
    seeds = range(count)
    return simulate([lattice] * count, seeds, NOISES[noise], PRESETS["physical"], SIZE).noisy


def simulation_table(seconds: float) -> Table:
    """Measure topographs per second on one core: clean ones per preset, noisy ones, noise alone.

    Args:
        seconds: Time for each measurement.
    """
    torch.set_num_threads(1)
    size = f"{SIZE}x{SIZE} px"
    table = Table(title=f"{size} topographs per second on one core, batches of {SIMULATED_BATCH}")
    for column in ("lattice", *PRESETS, "physical with noise=paper", "noise alone, ms"):
        table.add_column(column, justify="right")
    for lattice in LATTICES.values():
        table.add_row(lattice.name, *_simulation_cells(lattice, seconds))
    return table


def _simulation_cells(lattice: AnyLattice, seconds: float) -> list[str]:
    """Measure one lattice."""
    orientation = torch.rand(SIMULATED_BATCH, 3, generator=torch.Generator().manual_seed(0))
    cells = []
    for preset in PRESETS:
        if preset == "physical" or lattice.name in CUT_LATTICES:
            work = partial(render_topographs, lattice, orientation, preset)
            cells.append(f"{SIMULATED_BATCH * call_rate(work, seconds):.0f}")
        else:
            cells.append("")
    clean, noisy = (
        SIMULATED_BATCH
        * call_rate(partial(simulate_batch, lattice, SIMULATED_BATCH, noise), seconds)
        for noise in ("none", "paper")
    )
    noise_ms = 1000 * (1 / noisy - 1 / clean)
    return [*cells, f"{noisy:.0f}", f"{noise_ms:.2f}"]


def patches_in_memory(count: int) -> PatchPerSample:
    """Return patches of 16 simulated images at random positions."""
    topographs = simulate_batch(LATTICES["fcc"], 16, "paper")
    draw = torch.Generator().manual_seed(0)
    highest = (16, SIZE - WINDOW + 1, SIZE - WINDOW + 1)
    positions = [torch.randint(high, (count,), generator=draw) for high in highest]
    return PatchPerSample(topographs / topographs.abs().amax(), torch.stack(positions, 1))


def train_step(net: nn.Module, optimizer: torch.optim.Optimizer, patches: Tensor) -> None:
    """Take one plain step on a batch."""
    optimizer.zero_grad()
    torch.autograd.backward(F.mse_loss(net(patches), patches))
    optimizer.step()


def bare_loop(settings: ThroughputSettings) -> float:
    """Return the patches per second of an eager loop over tensors in memory."""
    dataset = patches_in_memory(8 * settings.batch)
    patches = torch.stack([dataset[index] for index in range(len(dataset))])
    batches = torch.split(patches, settings.batch)
    net = CAEA()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for number in range(WARM_UP_STEPS):
        train_step(net, optimizer, batches[number])
    steps, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) <= settings.seconds:
        train_step(net, optimizer, batches[(WARM_UP_STEPS + steps) % len(batches)])
        steps += 1
    return steps * settings.batch / elapsed


def sample_loop(settings: ThroughputSettings) -> float:
    """Return the patches per second of the per-sample loop, over one epoch."""
    dataset = patches_in_memory(40 * settings.batch)
    net = CAEA()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    loader = DataLoader(dataset, batch_size=settings.batch, shuffle=True, drop_last=True)
    start = time.perf_counter()
    for patches in loader:
        train_step(net, optimizer, patches)
    return len(loader) * settings.batch / (time.perf_counter() - start)


def full_training(settings: ThroughputSettings) -> float:
    """Return the patches per second of our training: fresh images simulated, cut, learnt from."""
    keep_freed_memory()
    source = SimulatedData(
        lattices={"fcc": {"spread": 18, "azimuth_max": 45.0, "tilt_max": 45.0}},
        noise=NOISES["paper"],
        size=SIZE,
        images_per_epoch=settings.images,
        validation_images=1,
        test_images=1,
    )
    patch_settings = PatchSettings(
        window=WINDOW,
        batch_size=settings.batch,
        patches_per_image=settings.per_image,
        augment=True,
        num_workers=settings.workers,
    )
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
    module = Reconstruction(CAEA(), partial(torch.optim.Adam, lr=1e-3))
    trainer.fit(module, PatchData(source, patch_settings))
    return settings.images * settings.per_image / clock.seconds


LOOPS: dict[str, Callable[[ThroughputSettings], float]] = {
    "bare eager loop over tensors in memory": bare_loop,
    "plain Dataset and DataLoader, one patch per sample": sample_loop,
    "ours, end to end with simulation": full_training,
}


def measure_loop(name: str, settings: ThroughputSettings) -> float:
    """Return the patches per second of one of the loops; runs in a process of its own."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    torch.set_num_threads(settings.threads)
    return LOOPS[name](settings)


def training_table(settings: ThroughputSettings) -> Table:
    """Measure the loops, and their ratios to the bare one.

    Each loop runs in a process of its own, as a user would start it: the memory allocator of one
    would speed up the next. The loops take turns because the speed of a shared machine drifts, and
    the table gives the median of the ratios of all rounds.
    """
    rounds: list[dict[str, float]] = []
    for _ in range(settings.rounds):
        speeds = {}
        for name in LOOPS:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                speeds[name] = process.submit(measure_loop, name, settings).result()
        rounds.append(speeds)
    table = Table(
        title=f"CAE-A, batches of {settings.batch}, {settings.per_image} patches per image, "
        f"{settings.threads} threads, {settings.workers} worker processes, "
        f"median of {settings.rounds}"
    )
    table.add_column("loop")
    table.add_column("patches per second", justify="right")
    table.add_column("ratio", justify="right")
    reference = next(iter(LOOPS))
    for name in LOOPS:
        speed = median(speeds[name] for speeds in rounds)
        ratio = median(speeds[name] / speeds[reference] for speeds in rounds)
        table.add_row(name, f"{speed:.0f}", f"{ratio:.2f}")
    return table


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of training")
    parser.add_argument("--batch", type=int, default=1024, help="patches of a training step")
    parser.add_argument("--images", type=int, default=128, help="images of an epoch")
    parser.add_argument("--per-image", type=int, default=512, help="patches of an image and epoch")
    parser.add_argument("--workers", type=int, default=0, help="processes that simulate")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the three loops")
    arguments = parser.parse_args()
    settings = ThroughputSettings(**vars(arguments))
    console = Console()
    console.print(simulation_table(settings.seconds / 3))
    console.print(training_table(settings))


if __name__ == "__main__":
    main()
