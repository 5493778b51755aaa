"""What networks cost: their parameters, how fast one core trains them, and what a megapixel takes.

    python -m stm_experiments.benchmarks.networks

A step is forward, backward and Adam on random numbers: 1024 patches of the window for autoencoders,
16 of 128 px for denoisers of whole images. Processor time counts, so that a busy machine tells
almost the same.
"""

import time

import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stm_experiments.benchmarks.throughput.loops import train_step
from stm_experiments.core.memory import keep_freed_memory
from stm_experiments.models import CAEA, CAEB, MLP, Denoiser, SurfaceDenoiser, SwinDenoiser
from stm_experiments.models.interfaces import NetworkModule

PATCHES, WHOLE_IMAGES = (CAEA, CAEB, MLP), (Denoiser, SurfaceDenoiser, SwinDenoiser)
BATCH, WHOLE_BATCH, WHOLE_SIDE = 1024, 16, 128
WARM_UP, STEPS, WHOLE_STEPS = 2, 15, 4
MEGAPIXEL = 1024  # side of the image that is denoised, px


def step_seconds(net: NetworkModule, batch: int, side: int, steps: int) -> float:
    """Return the processor time of a training step on a batch of patches, s."""
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    patches = torch.randn(batch, 1, side, side)
    for _ in range(WARM_UP):
        train_step(net, optimizer, patches)
    start = time.process_time()
    for _ in range(steps):
        train_step(net, optimizer, patches)
    return (time.process_time() - start) / steps


def megapixel_seconds(net: NetworkModule) -> float:
    """Return the processor time for an image of 1024 px, s."""
    image = torch.randn(1, 1, MEGAPIXEL, MEGAPIXEL)
    with torch.inference_mode():
        net(image[..., :256, :256])
        start = time.process_time()
        net(image)
    return time.process_time() - start


def main() -> None:
    """Run the command line."""
    torch.set_num_threads(1)
    keep_freed_memory()
    table = Table(box=box.SIMPLE)
    for heading in ("network", "parameters", "patches per CPU-second", "CPU s for 1024 px"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for network in track((*PATCHES, *WHOLE_IMAGES), "networks"):
        net = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if net.window is None:
            speed = WHOLE_BATCH / step_seconds(net, WHOLE_BATCH, WHOLE_SIDE, WHOLE_STEPS)
            cost = f"{megapixel_seconds(net):.1f}"
        else:
            speed, cost = BATCH / step_seconds(net, BATCH, net.window, STEPS), ""
        size = sum(weight.numel() for weight in net.parameters())
        table.add_row(net.label, f"{size:,}", f"{speed:,.0f}", cost)
    Console().print(table)


if __name__ == "__main__":
    main()
