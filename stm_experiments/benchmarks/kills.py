"""Kills trainings at random moments, and looks whether they end as if nothing had happened.

    python -m stm_experiments.benchmarks.kills --kills 100

Every kill is a SIGKILL to a real training process. A run is killed once to three times, resumed
each time, and compared with one that was left alone: weights, optimiser, learning rates,
metrics.csv and metrics.json, bit for bit. Each kill waits for a kind of moment (a step,
a validation, the writing of a checkpoint, the scoring; or none), and for the first to sixth of that
kind. Needs ``fork``, that is Linux or macOS.
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

# Steps of a part of a second, three an epoch, with a checkpoint after each.
TINY = (
    *("data.patches_per_image=16", "data.batch_size=24", "data.num_workers=0", "baselines=[]"),
    *("trainer=cpu", "trainer.max_epochs=3", "checkpoint_minutes=0"),
)
SIMULATED = ("data.size=64", "data.images_per_epoch=4", "data.validation_images=2")
MOMENTS = ("starting", "training", "validation", "writing a checkpoint", "scoring")
AIMS = (1, 1, 1, 2, 2, 3, 3, 4, None)  # which of these a kill waits for; None: it does not


class Case(NamedTuple):
    """A kind of training: its name and its overrides."""

    name: str
    overrides: tuple[str, ...]


def cases(images: Path) -> list[Case]:
    """CAE-A and CAE-B, simulated images and files, with a schedule of the rate and without.

    Args:
        images: Folder of the image files.
    """
    sources = {
        "simulated": (*SIMULATED, "data.test_images=2"),
        "images": ("data=images", f"data.root={images}", "lattice=sc"),
    }
    rates = {"OneCycle": (), "constant rate": ("model.scheduler=null",)}
    return [
        Case(f"{net}, {source}, {rate}", (f"model={net}", *sources[source], *rates[rate], *TINY))
        for source, net, rate in product(sources, ("cae_a", "cae_b"), rates)
    ]


def write_images(folder: Path) -> None:
    """A few image files, in splits as ``data=images`` expects them."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 4), ("validation", 2), ("test", 2)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            np.save(folder / split / f"{number}.npy", draw.normal(size=(40, 40)))


def start(arguments: list[str], output: Path, prepare: Callable[[], None]) -> int:
    """Runs ``train.py`` in a process of its own, a copy of this one: nothing is imported again.

    Args:
        arguments: Of the command line.
        output: File to which it prints.
        prepare: Called in the new process before anything else.

    Returns:
        Its process id.
    """
    process = os.fork()
    if process:
        return process
    code: Any = 1
    try:
        file = os.open(output, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv = ["train.py", *arguments]
        prepare()
        runpy.run_module("stm_experiments.train", run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        os._exit(code)


def wait(process: int) -> int:
    """Waits for a process; its exit code, negative if a signal ended it."""
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
    """Makes a training write into shared memory what it is doing, as an index of ``MOMENTS``.

    The first byte is what it does now, the byte at each index how often it has begun that.
    """
    without_figures()
    watched = (
        (Reconstruction, "training_step"),
        (Reconstruction, "validation_step"),
        (CheckpointWriter, "write"),
        (assess, "assess"),
    )
    for number, (owner, name) in enumerate(watched, 1):
        setattr(owner, name, shown(getattr(owner, name), number, moment))


def shown(do: Callable[..., Any], number: int, moment: mmap.mmap) -> Callable[..., Any]:
    """A function that also shows for how long it runs."""

    def wrapper(*args: Any, **more: Any) -> Any:
        before, moment[0] = moment[0], number
        moment[number] = min(moment[number] + 1, 255)
        result = do(*args, **more)
        moment[0] = before or 1  # between steps it trains
        return result

    return wrapper


def kill_somewhere(process: int, moment: mmap.mmap, aim: int | None, took: float) -> int | None:
    """Sends SIGKILL during one of the first few of the moments that are aimed at, or at any time.

    Args:
        process: Its id.
        moment: What it shows; see ``show_moments``.
        aim: An index of ``MOMENTS``, or None.
        took: Time that it takes when it is left alone, s.

    Returns:
        The moment at which it was killed; None if it had come to its end.
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
    """What differs in the results of two run folders."""
    differs = [
        name
        for name in ("metrics.csv", "metrics.json")
        if not (other / name).is_file() or (one / name).read_bytes() != (other / name).read_bytes()
    ]
    for name in ("best.ckpt", "last.ckpt"):
        ours, theirs = (checkpoint.read(folder / "checkpoints" / name) for folder in (one, other))
        differs += [
            f"{name}: {key}"
            for key in ("state_dict", "optimizer_states", "lr_schedulers")
            if not same(ours[key], theirs[key])
        ]
    return differs


def same(one: Any, other: Any) -> bool:
    """Whether nested dicts, lists and tensors are equal, bit for bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def survive(
    case: Case, whole: Path, folder: Path, most: int, took: float
) -> tuple[Counter[int], str]:
    """Kills one run up to ``most`` times, lets it come to its end, and compares.

    Args:
        case: What to train.
        whole: Folder of the run that was left alone.
        folder: Where this one goes.
        most: Kills, at most.
        took: Time that it takes, s.

    Returns:
        How often it was killed at each of ``MOMENTS``, and what went wrong.
    """
    kills: Counter[int] = Counter()
    output = folder.with_suffix(".txt")
    while True:
        begun = (folder / "config.yaml").is_file()
        arguments = [f"resume={folder}"] if begun else [*case.overrides, f"hydra.run.dir={folder}"]
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
    """Kills, compares, reports; exit code 1 if any run ended differently."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="how many")
    parser.add_argument("--minutes", type=float, default=60, help="stop after this time")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="where runs go (default: a temporary folder)")
    options = parser.parse_args()
    random.seed(options.seed)
    folder = Path(tempfile.mkdtemp(dir=options.folder)).absolute()
    write_images(folder / "images")
    kinds = cases(folder / "images")
    console, begun = Console(), time.monotonic()
    kills: Counter[int] = Counter()
    runs: Counter[Case] = Counter()
    took: dict[Case, float] = {}
    wrong: list[str] = []
    # Its thread would be copied by fork.
    with Progress(console=console, auto_refresh=False) as progress:
        bar = progress.add_task("kills", total=options.kills)
        while kills.total() < options.kills and time.monotonic() - begun < 60 * options.minutes:
            case = kinds[runs.total() % len(kinds)]
            whole = folder / f"{kinds.index(case)}_whole"
            if case not in took:
                clock = time.monotonic()
                arguments = [*case.overrides, f"hydra.run.dir={whole}"]
                if wait(start(arguments, whole.with_suffix(".txt"), without_figures)):
                    sys.exit(f"{case.name} fails:\n{whole.with_suffix('.txt').read_text()}")
                took[case] = time.monotonic() - clock
            killed = folder / f"{kinds.index(case)}_{runs.total()}"
            most = min(random.randint(1, 3), options.kills - kills.total())
            more, problem = survive(case, whole, killed, most, took[case])
            kills += more
            runs[case] += 1
            wrong += [f"{case.name} in {killed}: {problem}"] if problem else []
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
