"""The speed of simulation and of training, compared with plain PyTorch.

    python -m stm_experiments.benchmarks.throughput
    python -m stm_experiments.benchmarks.throughput --json speed.json --figure roofline.png

Everything is measured in one run on one core, in CPU seconds, so that other programs disturb
little: the ratios hold on other machines, the absolute numbers do not. ``loops.py`` says what is
compared. The picture shows where the limits of the core lie.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from stm_experiments.benchmarks.throughput.loops import (
    LOOPS,
    TITLES,
    ThroughputSettings,
    measure_loop,
)
from stm_experiments.benchmarks.throughput.roofline import measure_roofs, roofline_figure
from stm_experiments.benchmarks.throughput.simulation import simulation_table
from stm_experiments.core.files import write_json
from stm_experiments.figures.canvas import save_figure


def measure_training(
    all_settings: list[ThroughputSettings], rounds: int
) -> Iterator[dict[str, float]]:
    """Measure the loops, and their ratios to the bare one.

    Each loop runs in a process of its own, as a user would start it: the memory allocator of one
    would speed up the next. The loops take turns because the speed of a shared machine drifts.

    Yields:
        After each round, by name of loop and batch size, the medians over the rounds so far:
        patches per CPU second, as ``step_speed_256``, and their ratio to the bare loop of the same
        round, as ``step_ratio_256``.
    """
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for settings in all_settings:
            speeds = {}
            for name in LOOPS:
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                    speeds[name] = process.submit(measure_loop, name, settings).result()
            for name, speed in speeds.items():
                found.setdefault(f"{name}_speed_{settings.batch}", []).append(speed)
                ratio = speed / speeds["bare"]
                found.setdefault(f"{name}_ratio_{settings.batch}", []).append(ratio)
        yield {key: median(values) for key, values in found.items()}


def training_table(batches: list[int], numbers: dict[str, float]) -> Table:
    """Lay out the speeds, and in brackets their ratios to the bare loop."""
    table = Table(title="CAE-A on one core: patches per CPU second (ratio to the bare loop)")
    table.add_column("loop")
    for batch in batches:
        table.add_column(f"batches of {batch}", justify="right")
    for name in LOOPS:
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
    parser.add_argument("--json", type=Path, help="file for the numbers of the training")
    parser.add_argument("--figure", type=Path, help="file for the picture of the limits, PNG")
    arguments = parser.parse_args()
    all_settings = [
        ThroughputSettings(batch, arguments.images, arguments.per_image, arguments.seconds)
        for batch in arguments.batches
    ]
    console = Console()
    torch.set_num_threads(1)
    roofs = measure_roofs(arguments.seconds / 3)
    for numbers in measure_training(all_settings, arguments.rounds):
        if arguments.json is not None:
            write_json(arguments.json, numbers | roofs._asdict())
    console.print(training_table(arguments.batches, numbers))
    if arguments.figure is not None:
        save_figure(roofline_figure(roofs, numbers, max(arguments.batches)), arguments.figure)
    console.print(simulation_table(arguments.seconds / 3))


if __name__ == "__main__":
    main()
