"""When a run is killed: during a moment of training, at a call to the system, or at any time."""

import mmap
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from stm_experiments.app import completion
from stm_experiments.benchmarks.kills.processes import wait, without_figures
from stm_experiments.recipes import report, train
from stm_experiments.training import Reconstruction
from stm_experiments.training.callbacks import CheckpointWriter

ANY_TIME = "any time"
WATCHED: dict[str, tuple[tuple[Any, str], ...]] = {
    "training": ((Reconstruction, "training_step"),),
    "validation": ((Reconstruction, "validation_step"),),
    "writing a checkpoint": ((CheckpointWriter, "write"),),
    "scoring": ((completion, "assess"),),
    "logging": tuple(
        (module, name)
        for module in (train, completion)
        for name in ("log_results", "close_loggers")
    ),
    "reading runs": ((report, "find_runs"),),
}
OPEN = "open to write"
CALLS = (OPEN, "rename", "fsync")
MOMENTS = (*WATCHED, *CALLS)
WIDTH = 4  # bytes of a count
BEFORE, AFTER = 0.0, 1.0  # of a call
LATEST = 0.005  # s after the beginning of a moment


class Aim(NamedTuple):
    """When to kill.

    Attributes:
        moment: One of ``MOMENTS``, or ``ANY_TIME``.
        turn: The how many-th of its kind, from 1.
        delay: Time after that, s; of a call: ``BEFORE`` or ``AFTER``.
    """

    moment: str
    turn: int
    delay: float


class Moments:
    """Shared memory in which a process counts the moments that it has passed."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, WIDTH * len(MOMENTS))

    def __getitem__(self, moment: str) -> int:
        """Return how often a moment has begun."""
        place = WIDTH * MOMENTS.index(moment)
        return int.from_bytes(self._memory[place : place + WIDTH], sys.byteorder)

    def count(self, moment: str) -> int:
        """Count a moment that begins; return how many have begun."""
        total = self[moment] + 1
        place = WIDTH * MOMENTS.index(moment)
        self._memory[place : place + WIDTH] = total.to_bytes(WIDTH, sys.byteorder)
        return total

    def watch(self, aim: Aim | None) -> None:
        """Count from now on in this process, which kills itself at a call that is aimed at."""
        without_figures()
        for moment, functions in WATCHED.items():
            for owner, name in functions:
                setattr(owner, name, self._counted(getattr(owner, name), moment, aim))
        for name, moment in (("replace", "rename"), ("rename", "rename"), ("fsync", "fsync")):
            setattr(os, name, self._counted(getattr(os, name), moment, aim))
        sys.addaudithook(partial(self._count_opened, aim))

    def _counted(
        self, function: Callable[..., Any], moment: str, aim: Aim | None
    ) -> Callable[..., Any]:
        """Return a function that counts its calls; the process dies before or after one of them."""

        def counted(*arguments: Any, **more: Any) -> Any:
            here = Aim(moment, self.count(moment), BEFORE)
            if aim == here and moment in CALLS:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **more)
            if aim == here._replace(delay=AFTER) and moment in CALLS:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted

    def _count_opened(self, aim: Aim | None, event: str, arguments: tuple[Any, ...]) -> None:
        """Count a file that is opened to write; Python calls this before it opens any file."""
        if event != "open" or not isinstance(arguments[0], str | bytes):
            return
        path, _, flags = arguments
        if not flags & (os.O_WRONLY | os.O_RDWR):
            return
        turn = self.count(OPEN)
        if aim is not None and (aim.moment, aim.turn) == (OPEN, turn):
            if aim.delay == AFTER:
                os.open(path, flags, 0o666)  # counts as another one
            os.kill(os.getpid(), signal.SIGKILL)


def random_aim(counts: Moments, took: float, draw: random.Random) -> Aim:
    """Return a random moment of those that an undisturbed run has.

    Args:
        counts: Of the undisturbed run.
        took: Its duration, s.
        draw: Random numbers.
    """
    moment = draw.choice([ANY_TIME, *(name for name in MOMENTS if counts[name])])
    if moment == ANY_TIME:
        return Aim(moment, 0, draw.uniform(0, took))
    delay = draw.choice((BEFORE, AFTER)) if moment in CALLS else draw.uniform(0, LATEST)
    return Aim(moment, draw.randint(1, counts[moment]), delay)


def kill_at(process: int, aim: Aim, moments: Moments) -> int:
    """Kill a process that watches its moments; return its exit code, -9 if it was killed.

    Args:
        process: The process id.
        aim: When to kill it.
        moments: Where it counts.
    """
    if aim.moment in CALLS:
        return wait(process)
    while aim.moment != ANY_TIME and moments[aim.moment] < aim.turn:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    time.sleep(aim.delay)
    os.kill(process, signal.SIGKILL)  # of one that has ended and was not waited for: no effect
    return wait(process)
