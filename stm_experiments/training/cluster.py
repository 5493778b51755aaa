"""Signals that ask a training to end: by hand, or from a cluster that wants its processors."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch.utilities.exceptions import SIGTERMException


class Warnings:
    """Keeps a signal until the step is saved, then ends the training or has its job requeued.

    SIGTERM ends it. Lightning would do so too, but of several processes that train together it
    leaves some waiting for the others for ever; here only the first one's signals count.

    SLURM sends SIGUSR2 before a time limit, and SIGTERM to a job that is preempted, cancelled or
    requeued by somebody. submitit, which runs the job, would requeue it at SIGUSR2 at once, in the
    middle of a step. A preempted job that ends within the grace time of its partition counts as
    completed, and SLURM would not start it again: it is requeued as well.
    """

    def __init__(self) -> None:
        self._requeue: Callable[..., Any] | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._warning: tuple[Any, ...] | None = None

    @property
    def warned(self) -> bool:
        """Whether there was a signal that has not been heeded."""
        return self._warning is not None

    def listen(self, leads: bool) -> None:
        """From now on a signal is kept. Called when Lightning has set its own handlers.

        Args:
            leads: Whether this is the first process; the others' signals are ignored.
        """
        requeue = signal.getsignal(signal.SIGUSR2)
        self._requeue = requeue if callable(requeue) else None
        for number in (signal.SIGTERM, *([signal.SIGUSR2] if self._requeue else [])):
            self._before[number] = signal.signal(number, self._keep if leads else signal.SIG_IGN)

    def _keep(self, *warning: Any) -> None:
        self._warning = warning

    def heed(self) -> None:
        """Does what the signal asks for, if there was one: the weights are saved.

        Raises:
            SystemExit: When the job is requeued.
            SIGTERMException: When the training is to end.
        """
        if self._warning is None:
            return
        (number, *_), warning, self._warning = self._warning, self._warning, None
        if self._requeue is None or (
            number == signal.SIGTERM and not still_runs(os.environ.get("SLURM_JOB_ID", ""))
        ):
            raise SIGTERMException
        self._requeue(*warning)

    def wait_for_end(self) -> None:
        """What the other processes do while the first one heeds: it, or SLURM, ends them.

        Raises:
            SIGTERMException: If nobody does.
        """
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(60)
        raise SIGTERMException

    def stop_listening(self) -> None:
        """Gives the signals back, and heeds one that came meanwhile."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        self.heed()


def still_runs(job: str) -> bool:
    """Whether SLURM lets a job run on: one that is cancelled must not be requeued.

    Args:
        job: SLURM's number of it.
    """
    try:
        shown = subprocess.run(
            ["squeue", "--noheader", f"--jobs={job}", "--format=%T"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return shown.stdout.split() == ["RUNNING"]
