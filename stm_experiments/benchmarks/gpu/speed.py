"""Patches per second, seconds and memory on a device, by the clock on the wall."""

import time
from collections.abc import Callable
from functools import partial

import torch

from stm_experiments.benchmarks.gpu.work import eager_steps, graph_steps, waves
from stm_experiments.benchmarks.throughput.loops import EpochClock, ThroughputSettings, train_whole
from stm_experiments.core.batch import map_tensors
from stm_experiments.data.patches import Cutter
from stm_experiments.data.settings import PatchSettings
from stm_experiments.data.sources.simulated import SimulatedData
from stm_experiments.models import CAEA
from stm_experiments.models.checkpoint import load
from stm_experiments.models.tiling import apply_network
from stm_experiments.simulator import NOISES


def steps_a_call(device: torch.device) -> int:
    """Return the steps of a graph; few on a CPU, where it only shows that all works."""
    return 32 if device.type == "cuda" else 2


def wait_for(device: torch.device) -> None:
    """Wait until a device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rate(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the calls of a function per second, after two calls to warm up."""
    for _ in range(2):
        work()
    wait_for(device)
    calls, elapsed, start = 0, 0.0, time.perf_counter()
    while not calls or elapsed < seconds:
        work()
        wait_for(device)
        calls, elapsed = calls + 1, time.perf_counter() - start
    return calls / elapsed


def step_speeds(device: torch.device, seconds: float, batches: tuple[int, ...]) -> dict[str, float]:
    """Return patches per second of steps on patches on the device, eager and as graphs."""
    found = {}
    for batch in batches:
        steps = steps_a_call(device)
        patches = waves(steps * batch, device).view(steps, batch, 1, 17, 17)
        eager = partial(eager_steps, CAEA().to(device), patches)
        graph = partial(graph_steps(CAEA(), device), patches)
        for name, work in (("eager", eager), ("graph", graph)):
            found[f"{name}_{batch}"] = patches[:, :, 0, 0, 0].numel() * rate(work, device, seconds)
    return found


def stacked_speed(device: torch.device, seconds: float, runs: int, batch: int) -> dict[str, float]:
    """Return patches per second of several runs in one graph, all together."""
    steps = steps_a_call(device)
    patches = waves(steps * runs * batch, device)
    shaped = patches.view(steps, runs, batch, 1, 17, 17)
    work = partial(graph_steps(CAEA(), device, runs), shaped)
    return {f"stacked_{runs}_runs_{batch}": len(patches) * rate(work, device, seconds)}


def run_speeds(device: torch.device, images: int, batch: int) -> dict[str, float]:
    """Return patches per second of whole trainings by the trainer.

    Args:
        device: The device.
        images: Images of an epoch, of 512 patches each.
        batch: Patches of a step.
    """
    accelerator = "gpu" if device.type == "cuda" else "cpu"
    settings = ThroughputSettings(batch, images, 512, 0)
    found = {}
    for fresh in (False, True):
        for name, fused in (("steps", False), ("graph", "graph")):
            clock = EpochClock(time.perf_counter)
            speed = train_whole(settings, clock, accelerator, fused, fresh=fresh)
            found[f"run_{'fresh' if fresh else 'fixed'}_{name}_{batch}"] = speed
    return found


def cut_speed(device: torch.device, seconds: float, count: int) -> dict[str, float]:
    """Return patches per second of cutting and turning patches of images on the device."""
    lattices = {"fcc": {"spread": 18, "azimuth_max": 45.0, "tilt_max": 45.0}}
    source = SimulatedData(lattices, NOISES["paper"], images_per_epoch=8)
    settings = PatchSettings(17, patches_per_image=count // 8, augment=True)
    images = source.splits(settings)["train"](0, 0, 8)
    cutter = Cutter("train", settings)
    cuts = map_tensors(cutter.draw(0, images), lambda tensor: tensor.to(device))
    images = map_tensors(images, lambda tensor: tensor.to(device))
    work = partial(cutter.cut, images, cuts, torch.randperm(count).to(device))
    return {"cut": count * rate(work, device, seconds)}


def denoiser_cost(device: torch.device, side: int) -> dict[str, float]:
    """Return the seconds and, on a GPU, the memory (MB) of the shipped denoiser on one image."""
    net = load("denoiser").to(device)
    image = torch.randn(side, side, generator=torch.Generator().manual_seed(0)).to(device)
    work = partial(apply_network, net, image, None, 1)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    found = {f"denoiser_{side}_s": 1 / rate(work, device, 0)}
    if device.type == "cuda":
        found[f"denoiser_{side}_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    return found
