"""What the patch networks cost: their parameters, and how fast one core trains them.

    python -m stm_experiments.benchmarks.networks

A step is forward, backward and Adam on 1024 patches of random numbers. Processor time counts, so
that a busy machine tells almost the same.
"""

import time

import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stm_experiments.benchmarks.throughput import train_step
from stm_experiments.core.memory import keep_freed_memory
from stm_experiments.models import CAEA, CAEB, MLP
from stm_experiments.models.interfaces import NetworkModule

BATCH = 1024
WARM_UP, STEPS = 2, 15


def patches_per_second(net: NetworkModule, window: int) -> float:
    """Return the patches that one core trains in a second of processor time."""
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    patches = torch.randn(BATCH, 1, window, window)
    for _ in range(WARM_UP):
        train_step(net, optimizer, patches)
    start = time.process_time()
    for _ in range(STEPS):
        train_step(net, optimizer, patches)
    return STEPS * BATCH / (time.process_time() - start)


def main() -> None:
    """Run the command line."""
    torch.set_num_threads(1)
    keep_freed_memory()
    table = Table(box=box.SIMPLE)
    for heading in ("network", "parameters", "patches per CPU-second"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for network in track((CAEA, CAEB, MLP), "networks"):
        net = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        speed = patches_per_second(net, net.window)
        size = sum(weight.numel() for weight in net.parameters())
        table.add_row(net.label, f"{size:,}", f"{speed:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
