"""What a GPU gains: correctness, speed and memory, in less than six minutes.

    python -m stm_experiments.benchmarks.gpu --json gpu.json
    python -m stm_experiments.benchmarks.gpu --device cpu --seconds 1

Patches of 17x17 px, CAE-A, float32. ``curve`` is the largest difference of a loss curve from that
of the CPU, relative to the loss; ``image`` compares simulated images. ``eager`` and ``graph`` are
patches per second of steps on patches in the device's memory: kernel by kernel, and 32 steps as one
CUDA graph; ``stacked`` are runs side by side in one graph, all together. ``cut`` cuts and turns
patches. ``run`` is a whole training by the trainer with validation and checkpoints, on fixed or
fresh images (simulated by the CPU). Speeds are those of the clock on the wall. The numbers are
written after each part; a part that would begin after ``--limit`` is left out, and said so.
"""

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from stm_experiments.benchmarks.gpu import correctness, speed
from stm_experiments.benchmarks.gpu.work import graph_steps, waves
from stm_experiments.core.files import write_json
from stm_experiments.models import CAEA

Part = Callable[[], dict[str, float]]


def profile_steps(device: torch.device, batch: int) -> dict[str, float]:
    """Return the share of the time of the ten most expensive kernels in a graph."""
    take = graph_steps(CAEA(), device)
    steps = speed.steps_a_call(device)
    patches = waves(steps * batch, device).view(steps, batch, 1, 17, 17)
    take(patches)
    on_gpu = device.type == "cuda"
    kinds = [ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]
    with profile(activities=kinds) as recorded:
        take(patches)
        speed.wait_for(device)
    times = {
        each.key: each.self_device_time_total if on_gpu else each.self_cpu_time_total
        for each in recorded.key_averages()
    }
    total = sum(times.values()) or 1.0
    largest = sorted(times, key=lambda key: times[key], reverse=True)[:10]
    return {f"profile {key}": times[key] / total for key in largest}


def parts_of(device: torch.device, seconds: float) -> dict[str, Part]:
    """Return the parts of the benchmark, the most important first.

    Args:
        device: The device; on a CPU everything is small.
        seconds: Time of each measurement.
    """
    is_small = device.type == "cpu"
    batches = (256,) if is_small else (256, 1024, 2048)
    side, images = (256, 2) if is_small else (2048, 512)
    return {
        "curves": partial(correctness.compare_curves, device, 16 if is_small else 512),
        "steps": partial(speed.step_speeds, device, seconds, batches),
        "stacked runs": partial(speed.stacked_speed, device, seconds, 2 if is_small else 21, 256),
        "cutting": partial(speed.cut_speed, device, seconds, 1024 if is_small else 65536),
        "images": partial(correctness.compare_images, device, 2 if is_small else 32),
        "runs": partial(speed.run_speeds, device, images, 256 if is_small else 1024),
        "denoiser": partial(speed.denoiser_cost, device, side),
        "profile": partial(profile_steps, device, 256 if is_small else 1024),
    }


def main() -> None:
    """Run the parts, print their numbers and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, or cpu in miniature")
    parser.add_argument("--seconds", type=float, default=3.0, help="time of each measurement")
    parser.add_argument("--limit", type=float, default=300.0, help="no part begins after it, s")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("benchmarks.gpu: there is no CUDA GPU here; --device cpu runs it in miniature")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}", flush=True)
    numbers: dict[str, float] = {}
    start = time.perf_counter()
    for part, work in parts_of(device, options.seconds).items():
        if time.perf_counter() - start > options.limit:
            print(f"{part}: left out after {options.limit:.0f} s")
            continue
        found = work()
        numbers |= found
        for key, value in found.items():
            print(f"{key:44}{value:>16.6g}", flush=True)
        if options.json:
            write_json(options.json, {"device": name, **numbers})
    if device.type == "cuda":
        print(f"{'peak memory, MB':44}{torch.cuda.max_memory_allocated() / 2**20:>16.0f}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
