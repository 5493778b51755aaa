"""The speed of simulation and of training, compared with plain PyTorch.

    python -m stm_experiments.benchmarks.throughput
    python -m stm_experiments.benchmarks.throughput --batches 256 --compile --json speed.json

Everything is measured in one run on one core, in CPU seconds, so that other programs disturb
little: the ratios hold on other machines, the absolute numbers do not. Training is compared with
(a) the per-sample Dataset and DataLoader loop that the paper's authors wrote, and (b) a bare eager
loop over tensors in memory, without loader, simulation or trainer. The step is CAE-A's step as we
take it, on tensors in memory; the training end to end also simulates fresh images, cuts and turns
patches, validates, keeps the history and writes checkpoints.
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
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from stm_experiments.core.files import write_json
from stm_experiments.core.memory import keep_freed_memory
from stm_experiments.data import PatchSettings, SimulatedData
from stm_experiments.data.module import PatchData
from stm_experiments.models import CAEA
from stm_experiments.models.fused.loss import FusedLoss
from stm_experiments.models.interfaces import Card
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
from stm_experiments.training.callbacks import CheckpointWriter, History

SIZE = 257  # px
WINDOW = 17  # px, of CAE-A
SIMULATED_BATCH = 32  # images
WARM_UP_STEPS = 3


@dataclass(frozen=True)
class ThroughputSettings:
    """The settings of the training benchmark.

    Attributes:
        batch: Patches of a training step.
        images: Images of an epoch.
        per_image: Patches of an image and epoch.
        seconds: CPU time of each measurement, s.
    """

    batch: int
    images: int
    per_image: int
    seconds: float


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
    """Measures the epochs after the first, which starts workers and warms caches.

    Args:
        now: Returns the time, s.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.times: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Note the time."""
        self.times.append(self.now())

    @property
    def seconds(self) -> float:
        """Seconds per epoch."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)


def call_rate(work: Callable[[], object], seconds: float) -> float:
    """Return the calls of a function per CPU second, after one call to warm up."""
    work()
    calls, start = 0, time.process_time()
    while (elapsed := time.process_time() - start) < seconds:
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


def step_rate(step: Callable[[Tensor], None], settings: ThroughputSettings) -> float:
    """Return the patches per CPU second of steps on batches in memory.

    Args:
        step: Takes a step on a batch [B, 1, 17, 17].
        settings: Batch size and time.
    """
    dataset = patches_in_memory(8 * settings.batch)
    patches = torch.stack([dataset[index] for index in range(len(dataset))])
    batches = torch.split(patches, settings.batch)
    for batch in batches[:WARM_UP_STEPS]:
        step(batch)
    steps, start = 0, time.process_time()
    while (elapsed := time.process_time() - start) <= settings.seconds:
        step(batches[(WARM_UP_STEPS + steps) % len(batches)])
        steps += 1
    return steps * settings.batch / elapsed


def bare_loop(settings: ThroughputSettings) -> float:
    """Measure an eager loop over tensors in memory."""
    net = CAEA()
    return step_rate(partial(train_step, net, torch.optim.Adam(net.parameters(), 1e-3)), settings)


def compiled_loop(settings: ThroughputSettings) -> float:
    """Measure the same loop with ``torch.compile``, after its compilation."""
    net = CAEA()
    fast: nn.Module = torch.compile(net)  # type: ignore[assignment]
    return step_rate(partial(train_step, fast, torch.optim.Adam(net.parameters(), 1e-3)), settings)


def our_step(settings: ThroughputSettings) -> float:
    """Measure our step on tensors in memory, without loader, simulation or trainer."""
    keep_freed_memory()
    net = CAEA()
    loss_of, optimizer = FusedLoss(net), torch.optim.Adam(net.parameters(), 1e-3, fused=True)

    def step(patches: Tensor) -> None:
        loss_of.set_gradients(patches, patches)
        optimizer.step()

    return step_rate(step, settings)


def sample_loop(settings: ThroughputSettings) -> float:
    """Measure the per-sample loop, over one epoch."""
    dataset = patches_in_memory(40 * max(settings.batch, 512))
    net = CAEA()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    loader = DataLoader(dataset, batch_size=settings.batch, shuffle=True, drop_last=True)
    start = time.process_time()
    for patches in loader:
        train_step(net, optimizer, patches)
    return len(loader) * settings.batch / (time.process_time() - start)


def full_training(settings: ThroughputSettings) -> float:
    """Measure our training end to end: fresh images simulated, cut, learnt from, validated."""
    keep_freed_memory()
    return train_whole(settings, EpochClock(time.process_time), "cpu", "auto")


def train_whole(
    settings: ThroughputSettings,
    clock: EpochClock,
    accelerator: str,
    fused: bool | str,
    *,
    fresh: bool = True,
) -> float:
    """Return the patches per second of a whole training of CAE-A.

    Args:
        settings: Batch size, images and patches.
        clock: Measures the epochs.
        accelerator: Lightning's name of the device.
        fused: How the steps are taken, as ``model.fused``.
        fresh: Simulate new images in each epoch, or train on the same ones.
    """
    source = SimulatedData(
        lattices={"fcc": {"spread": 18, "azimuth_max": 45.0, "tilt_max": 45.0}},
        noise=NOISES["paper"],
        size=SIZE,
        images_per_epoch=settings.images,
        validation_images=max(1, settings.images // 16),
        test_images=1,
    )
    patch_settings = PatchSettings(
        window=WINDOW,
        batch_size=settings.batch,
        patches_per_image=settings.per_image,
        augment=True,
        num_workers=0,
        fresh=fresh,
    )
    card = Card("CAEA", {}, WINDOW)
    with TemporaryDirectory() as folder:
        history = History(Path(folder) / "metrics.csv")
        writer = CheckpointWriter(Path(folder), minutes=10, card=card)
        trainer = Trainer(
            max_epochs=4,
            accelerator=accelerator,
            logger=False,
            callbacks=[history, writer, clock],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10**9,
        )
        module = Reconstruction(CAEA(), partial(torch.optim.Adam, lr=1e-3), fused=fused)
        trainer.fit(module, PatchData(source, patch_settings))
    return settings.images * settings.per_image / clock.seconds


LOOPS: dict[str, Callable[[ThroughputSettings], float]] = {
    "bare": bare_loop,
    "samples": sample_loop,
    "step": our_step,
    "end_to_end": full_training,
    "compile": compiled_loop,
}
TITLES = {
    "bare": "bare eager loop over tensors in memory",
    "samples": "plain Dataset and DataLoader, one patch per sample",
    "step": "our step, on tensors in memory",
    "end_to_end": "our training end to end, with simulation and validation",
    "compile": "bare loop with torch.compile",
}


def measure_loop(name: str, settings: ThroughputSettings) -> float:
    """Return the patches per CPU second of a loop; runs in a process of its own."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*srun.* command is available")
    torch.set_num_threads(1)
    return LOOPS[name](settings)


def measure_training(
    names: list[str], all_settings: list[ThroughputSettings], rounds: int
) -> dict[str, float]:
    """Measure the loops, and their ratios to the bare one.

    Each loop runs in a process of its own, as a user would start it: the memory allocator of one
    would speed up the next. The loops take turns because the speed of a shared machine drifts.

    Returns:
        By name of loop and batch size, the median over the rounds: patches per CPU second, as
        ``step_speed_256``, and their ratio to the bare loop of the same round, as
        ``step_ratio_256``.
    """
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for settings in all_settings:
            speeds = {}
            for name in names:
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                    speeds[name] = process.submit(measure_loop, name, settings).result()
            for name, speed in speeds.items():
                found.setdefault(f"{name}_speed_{settings.batch}", []).append(speed)
                ratio = speed / speeds["bare"]
                found.setdefault(f"{name}_ratio_{settings.batch}", []).append(ratio)
    return {key: median(values) for key, values in found.items()}


def training_table(names: list[str], batches: list[int], numbers: dict[str, float]) -> Table:
    """Lay out the speeds, and in brackets their ratios to the bare loop."""
    table = Table(title="CAE-A on one core: patches per CPU second (ratio to the bare loop)")
    table.add_column("loop")
    for batch in batches:
        table.add_column(f"batches of {batch}", justify="right")
    for name in names:
        pairs = [(numbers[f"{name}_speed_{n}"], numbers[f"{name}_ratio_{n}"]) for n in batches]
        table.add_row(TITLES[name], *(f"{speed:.0f} ({ratio:.2f})" for speed, ratio in pairs))
    return table


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[256, 1024], help="patches a step"
    )
    parser.add_argument("--images", type=int, default=128, help="images of an epoch")
    parser.add_argument("--per-image", type=int, default=512, help="patches of an image and epoch")
    parser.add_argument("--seconds", type=float, default=3.0, help="CPU time of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all loops")
    parser.add_argument("--compile", action="store_true", help="also measure torch.compile")
    parser.add_argument("--json", type=Path, help="file for the numbers of the training")
    arguments = parser.parse_args()
    all_settings = [
        ThroughputSettings(batch, arguments.images, arguments.per_image, arguments.seconds)
        for batch in arguments.batches
    ]
    names = [name for name in LOOPS if name != "compile" or arguments.compile]
    console = Console()
    numbers = measure_training(names, all_settings, arguments.rounds)
    console.print(training_table(names, arguments.batches, numbers))
    if arguments.json is not None:
        write_json(arguments.json, numbers)
    console.print(simulation_table(arguments.seconds / 3))


if __name__ == "__main__":
    main()
