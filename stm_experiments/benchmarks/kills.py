"""Kill trainings at random moments, and check that they end as if nothing had happened.

    python -m stm_experiments.benchmarks.kills --kills 100

Every kill is a SIGKILL to a real training process. A run is killed one to three times, resumed each
time, and compared with an undisturbed run: weights, optimiser, learning rates, metrics.csv and
metrics.json, bit for bit. Each kill waits for a kind of moment (a step, a validation, the writing
of a checkpoint, the scoring; or none), and for the first to sixth of that kind. This needs
``fork``, that is Linux or macOS.
"""

import argparse
import mmap
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stm_experiments.evaluation import assess
from stm_experiments.models import checkpoint
from stm_experiments.training import Reconstruction
from stm_experiments.training.callbacks import CheckpointWriter

# Each step takes less than a second; there are three per epoch, with a checkpoint after each.
TINY = (
    *("data.patches_per_image=16", "data.batch_size=24", "data.num_workers=0", "baselines=[]"),
    *("trainer=cpu", "trainer.max_epochs=3", "checkpoint_minutes=0"),
)
SIMULATED = ("data.size=64", "data.images_per_epoch=4", "data.validation_images=2")
MOMENTS = ("starting", "training", "validation", "writing a checkpoint", "scoring")
AIMS = (1, 1, 1, 2, 2, 3, 3, 4, None)  # index of the moment that a kill waits for; None: none


class TrainingKind(NamedTuple):
    """A kind of training: its name and its overrides."""

    name: str
    overrides: tuple[str, ...]


def training_kinds(images: Path) -> list[TrainingKind]:
    """Return trainings of CAE-A and CAE-B, on simulated images and files, with two schedules.

    Args:
        images: Folder of the image files.
    """
    sources = {
        "simulated": (*SIMULATED, "data.test_images=2"),
        "images": ("data=images", f"data.root={images}", "lattice=sc"),
    }
    rates = {"OneCycle": (), "constant rate": ("model.scheduler=null",)}
    return [
        TrainingKind(
            f"{net}, {source}, {rate}", (f"model={net}", *sources[source], *rates[rate], *TINY)
        )
        for source, net, rate in product(sources, ("cae_a", "cae_b"), rates)
    ]


def write_images(folder: Path) -> None:
    """Write a few image files in the splits of ``data=images``."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 4), ("validation", 2), ("test", 2)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            np.save(folder / split / f"{number}.npy", draw.normal(size=(40, 40)))


def start(arguments: list[str], output: Path, prepare: Callable[[], None]) -> int:
    """Run ``train.py`` in a copy of this process, so that nothing is imported again.

    Args:
        arguments: Arguments of the command line.
        output: File that receives what it prints.
        prepare: Called in the new process before anything else.

    Returns:
        The process id.
    """
    process = os.fork()
    if process:
        return process
    code: int | str | None = 1
    try:
        file = os.open(output, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv = ["train.py", *arguments]
        prepare()
        runpy.run_module("stm_experiments.train", run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def wait(process: int) -> int:
    """Wait for a process; return its exit code, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def without_figures() -> None:
    """Leave out the drawing: it would take most of the time and is not compared."""
    nothing: dict[str, Any] = {"run_figures": {}, "montage": None, "save_figure": None}
    for name, value in nothing.items():
        setattr(assess, name, partial(return_value, value))


def return_value(value: object, *_: object) -> object:
    """Return a value, whatever else is passed."""
    return value


def show_moments(moment: mmap.mmap) -> None:
    """Let a training write to shared memory what it is doing, as an index of ``MOMENTS``.

    The first byte is the present moment. The byte at each index counts how often it has begun.
    """
    without_figures()
    watched = (
        (Reconstruction, "training_step"),
        (Reconstruction, "validation_step"),
        (CheckpointWriter, "write"),
        (assess, "assess"),
    )
    for number, (owner, name) in enumerate(watched, 1):
        setattr(owner, name, announced(getattr(owner, name), number, moment))


def announced(do: Callable[..., Any], number: int, moment: mmap.mmap) -> Callable[..., Any]:
    """Return a function that also writes to shared memory while it runs."""

    def wrapper(*args: Any, **more: Any) -> Any:
        before, moment[0] = moment[0], number
        moment[number] = min(moment[number] + 1, 255)
        result = do(*args, **more)
        moment[0] = before or 1  # between steps it trains
        return result

    return wrapper


def kill_somewhere(process: int, moment: mmap.mmap, aim: int | None, took: float) -> int | None:
    """Send SIGKILL during one of the first few moments of a kind, or at any time.

    Args:
        process: The process id.
        moment: The shared memory of ``show_moments``.
        aim: The index in ``MOMENTS``; None: at any time.
        took: Duration of an undisturbed run, s.

    Returns:
        The moment at which it was killed; None if it had already ended.
    """
    turn = 1 if aim == len(MOMENTS) - 1 else random.randint(1, 6)
    deadline = time.monotonic() + (random.uniform(0, took) if aim is None else 0)
    while time.monotonic() < deadline or (aim and (moment[0] != aim or moment[aim] < turn)):
        if os.waitpid(process, os.WNOHANG) != (0, 0):
            return None
        time.sleep(0.0005)
    time.sleep(random.uniform(0, 0.005))
    here = moment[0]
    os.kill(process, signal.SIGKILL)
    return here if wait(process) == -signal.SIGKILL else None


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of results that differ between two run folders."""
    names = [
        name
        for name in ("metrics.csv", "metrics.json")
        if not (other / name).is_file() or (one / name).read_bytes() != (other / name).read_bytes()
    ]
    for name in ("best.ckpt", "last.ckpt"):
        first, second = (checkpoint.read(folder / "checkpoints" / name) for folder in (one, other))
        names += [
            f"{name}: {key}"
            for key in ("state_dict", "optimizer_states", "lr_schedulers")
            if not are_equal(first[key], second[key])
        ]
    return names


def are_equal(one: Any, other: Any) -> bool:
    """Return whether nested dicts, lists and tensors are equal, bit for bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(are_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(are_equal, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def survive(
    kind: TrainingKind, whole: Path, folder: Path, most: int, took: float
) -> tuple[Counter[int], str]:
    """Kill one run up to ``most`` times, let it end, and compare.

    Args:
        kind: The training.
        whole: Folder of the undisturbed run.
        folder: Folder of this run.
        most: Largest number of kills.
        took: Duration of an undisturbed run, s.

    Returns:
        The number of kills at each of ``MOMENTS``, and what went wrong.
    """
    kills: Counter[int] = Counter()
    output = folder.with_suffix(".txt")
    while True:
        begun = (folder / "config.yaml").is_file()
        arguments = [f"resume={folder}"] if begun else [*kind.overrides, f"hydra.run.dir={folder}"]
        moment = mmap.mmap(-1, len(MOMENTS))
        process = start(arguments, output, partial(show_moments, moment))
        if kills.total() < most:
            here = kill_somewhere(process, moment, random.choice(AIMS), took)
            if here is not None:
                kills[here] += 1
                continue
        elif code := wait(process):
            return kills, f"exit code {code}: {output.read_text(errors='replace')[-500:]}"
        if (folder / "metrics.json").is_file():
            return kills, ", ".join(differences(whole, folder))
        return kills, f"did not finish: {output.read_text(errors='replace')[-500:]}"


def main() -> None:
    """Kill, compare and report; exit code 1 if any run ended differently."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="number of kills")
    parser.add_argument("--minutes", type=float, default=60, help="stop after this time")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--folder", type=Path, help="folder of the runs (default: temporary)")
    options = parser.parse_args()
    random.seed(options.seed)
    folder = Path(tempfile.mkdtemp(dir=options.folder)).absolute()
    write_images(folder / "images")
    kinds = training_kinds(folder / "images")
    console, begun = Console(), time.monotonic()
    kills: Counter[int] = Counter()
    runs: Counter[TrainingKind] = Counter()
    took: dict[TrainingKind, float] = {}
    wrong: list[str] = []
    # Its thread would be copied by fork.
    with Progress(console=console, auto_refresh=False) as progress:
        bar = progress.add_task("kills", total=options.kills)
        while kills.total() < options.kills and time.monotonic() - begun < 60 * options.minutes:
            kind = kinds[runs.total() % len(kinds)]
            whole = folder / f"{kinds.index(kind)}_whole"
            if kind not in took:
                clock = time.monotonic()
                arguments = [*kind.overrides, f"hydra.run.dir={whole}"]
                if wait(start(arguments, whole.with_suffix(".txt"), without_figures)):
                    sys.exit(f"{kind.name} fails:\n{whole.with_suffix('.txt').read_text()}")
                took[kind] = time.monotonic() - clock
            killed = folder / f"{kinds.index(kind)}_{runs.total()}"
            most = min(random.randint(1, 3), options.kills - kills.total())
            more, problem = survive(kind, whole, killed, most, took[kind])
            kills += more
            runs[kind] += 1
            wrong += [f"{kind.name} in {killed}: {problem}"] if problem else []
            progress.update(bar, completed=kills.total(), refresh=True)
    table = Table("moment of the kill", "kills")
    for number, name in enumerate(MOMENTS):
        table.add_row(name, str(kills[number]))
    console.print(table)
    console.print(
        f"{kills.total()} kills in {runs.total()} runs of {len(runs)} kinds, "
        f"{time.monotonic() - begun:.0f} s: {len(wrong)} ended differently"
    )
    if wrong or not kills:
        sys.exit("\n".join(wrong) or "nothing was killed")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
