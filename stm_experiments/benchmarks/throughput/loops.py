"""The ways to train CAE-A that are compared, on one core.

(a) the per-sample Dataset and DataLoader loop that the paper's authors wrote, (b) a bare eager loop
over tensors in memory, without loader, simulation or trainer, (c) the same with ``torch.compile``,
(d) the same with our layers in PyTorch, (e) our compiled step, (f) our training end to end, which
also simulates fresh images, cuts and turns patches, validates, keeps the history and writes
checkpoints.
"""

import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from stm_experiments.core.memory import keep_freed_memory
from stm_experiments.data import PatchSettings, SimulatedData
from stm_experiments.data.module import PatchData
from stm_experiments.models import CAEA
from stm_experiments.models.fused.loss import FusedLoss
from stm_experiments.models.interfaces import Card
from stm_experiments.simulator import (
    LATTICES,
    NOISES,
    PRESETS,
    AnyLattice,
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


def our_layers(settings: ThroughputSettings) -> float:
    """Measure the bare loop with our memory layout, allocator and one call of Adam."""
    keep_freed_memory()
    net: nn.Module = CAEA().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
    return step_rate(partial(train_step, net, optimizer), settings)


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
    "compile": compiled_loop,
    "layers": our_layers,
    "step": our_step,
    "end_to_end": full_training,
}
TITLES = {
    "bare": "bare eager loop over tensors in memory",
    "samples": "plain Dataset and DataLoader, one patch per sample",
    "compile": "bare loop with torch.compile",
    "layers": "our layers in PyTorch, on tensors in memory",
    "step": "our compiled step, on tensors in memory",
    "end_to_end": "our training end to end, with simulation and validation",
}


def measure_loop(name: str, settings: ThroughputSettings) -> float:
    """Return the patches per CPU second of a loop; runs in a process of its own."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*srun.* command is available")
    torch.set_num_threads(1)
    return LOOPS[name](settings)
