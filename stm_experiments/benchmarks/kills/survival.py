"""A run that is killed several times, resumed each time, and compared with an undisturbed run."""

import random
import shutil
import subprocess
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stm_experiments.benchmarks.kills.comparison import (
    differences,
    false_status,
    read_bytes,
    unfinished,
)
from stm_experiments.benchmarks.kills.kinds import ALL_SIMULATED, Kind
from stm_experiments.benchmarks.kills.moments import Moments, kill_at, random_aim
from stm_experiments.benchmarks.kills.processes import start, wait

KILLED = -9  # exit code
GRACE = 60  # s in which the jobs of a sweep that was killed save and end


class Ending(NamedTuple):
    """How a run ended that was killed.

    Attributes:
        kills: Number of kills at each moment.
        wrong: What went wrong; empty if nothing did.
    """

    kills: Counter[str]
    wrong: list[str]


class Whole(NamedTuple):
    """An undisturbed run.

    Attributes:
        folder: Its folder.
        moments: How often each moment came.
        seconds: How long it took.
    """

    folder: Path
    moments: Moments
    seconds: float


def run_whole(kind: Kind, folder: Path) -> Whole:
    """Run a kind undisturbed.

    Raises:
        RuntimeError: If it fails.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if kind.door == "report":
        for number in range(2):
            run_whole(Kind("cae_a", (f"seed={number}", *ALL_SIMULATED)), folder / str(number))
    moments, begun = Moments(), time.monotonic()
    output = folder.with_suffix(".txt")
    process = start(arguments(kind, folder), output, partial(moments.watch, None), kind.door)
    if code := wait(process):
        raise RuntimeError(f"{kind.name}: exit code {code}: {last_words(output)}")
    return Whole(folder, moments, time.monotonic() - begun)


def arguments(kind: Kind, folder: Path) -> list[str]:
    """Return the command line that starts a run in a folder, or resumes it there."""
    if kind.door == "report":
        return [f"runs={folder}"]
    if kind.is_swept:
        return ["-m", *kind.overrides, f"hydra.sweep.dir={folder}"]
    if (folder / "config.yaml").is_file():
        return [f"resume={folder}"]
    return [*kind.overrides, f"hydra.run.dir={folder}"]


def last_words(output: Path) -> str:
    """Return the end of what a command printed."""
    return output.read_text(encoding="utf-8", errors="replace")[-500:]


def survive(kind: Kind, whole: Whole, folder: Path, most: int, draw: random.Random) -> Ending:
    """Kill one run up to ``most`` times, let it end, and compare.

    Args:
        kind: Its kind.
        whole: The undisturbed run.
        folder: Folder of this run.
        most: Largest number of kills.
        draw: Random numbers.
    """
    folder.parent.mkdir()
    if kind.door == "report":
        shutil.copytree(whole.folder, folder, ignore=shutil.ignore_patterns("report"))
    kills: Counter[str] = Counter()
    output = folder.with_suffix(".txt")
    while True:
        aim = random_aim(whole.moments, whole.seconds, draw) if kills.total() < most else None
        moments = Moments()
        process = start(arguments(kind, folder), output, partial(moments.watch, aim), kind.door)
        code = wait(process) if aim is None else kill_at(process, aim, moments)
        if aim is None or code != KILLED:
            break
        kills[aim.moment] += 1
        if wrong := lies(kind, folder):
            return Ending(kills, [f"after a kill, {aim}: {line}" for line in wrong])
    if code:
        return Ending(kills, [f"exit code {code}: {last_words(output)}"])
    return Ending(kills, what_differs(kind, whole.folder, folder))


def lies(kind: Kind, folder: Path) -> list[str]:
    """Return what is not as it should be directly after a kill."""
    if kind.door == "report":
        page = read_bytes(folder / "report" / "index.html")
        return ["half a page"] if page is not None and b"</html>" not in page else []
    wrong = left_behind(folder) if kind.is_swept else []
    return wrong + [text for run in run_folders(kind, folder) if (text := false_status(run))]


def left_behind(sweep: Path) -> list[str]:
    """Return the jobs that go on without their sweep, as what went wrong."""
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline:
        found = subprocess.run(
            ["pgrep", "-f", f"hydra.run.dir='{sweep}/"], capture_output=True, text=True, check=False
        )
        if not found.stdout:
            return []
        time.sleep(0.2)
    return [f"processes {found.stdout.split()} go on without their sweep"]


def run_folders(kind: Kind, folder: Path) -> list[Path]:
    """Return the folders of the trainings of a run."""
    if kind.door == "report":
        return []
    if kind.is_swept:
        return sorted(path for path in folder.glob("*") if (path / "config.yaml").is_file())
    return [folder]


def what_differs(kind: Kind, whole: Path, folder: Path) -> list[str]:
    """Return what differs between an undisturbed run and one that was killed."""
    if kind.door == "report":
        return differing_files(whole, folder)
    one, other = run_folders(kind, whole), run_folders(kind, folder)
    if kind.is_swept and [run.name for run in one] != [run.name for run in other]:
        return ["other jobs"]
    wrong = []
    for first, second in zip(one, other, strict=True):
        wrong += differences(first, second) + unfinished(second, logs=kind.logs)
    return wrong


def differing_files(one: Path, other: Path) -> list[str]:
    """Return the names of files that differ between two folders, except for logs."""
    paths = [path for folder in (one, other) for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(one if path.is_relative_to(one) else other) for path in paths}
    return sorted(
        str(name)
        for name in names
        if name.suffix != ".log" and read_bytes(one / name) != read_bytes(other / name)
    )
