"""What a cluster says to a job before it takes its processors away."""

import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from lightning.pytorch.utilities.exceptions import SIGTERMException


class Warnings:
    """Keeps a warning of SLURM's until the step is saved, then has the job requeued.

    SLURM sends SIGUSR2 before a time limit, and SIGTERM to a job that is preempted, cancelled or
    requeued by somebody. submitit, which runs the job, requeues it at SIGUSR2 at once, in the
    middle of a step; Lightning ends it at SIGTERM, and a preempted job that ends within the grace
    time of its partition counts as completed: SLURM would not start it again.

    Without submitit there is nobody to requeue, and all signals are left as they are.
    """

    def __init__(self) -> None:
        self._requeue: Callable[..., Any] | None = None
        self._signals: dict[signal.Signals, Any] = {}
        self._warning: tuple[Any, ...] | None = None

    @property
    def warned(self) -> bool:
        """Whether there was a warning that has not been heeded."""
        return self._warning is not None

    def listen(self) -> None:
        """From now on a warning is kept. Called when Lightning has set its own handlers."""
        requeue = signal.getsignal(signal.SIGUSR2)
        if callable(requeue):
            self._requeue = requeue
            for number in (signal.SIGUSR2, signal.SIGTERM):
                self._signals[number] = signal.signal(number, self._keep)

    def _keep(self, *warning: Any) -> None:
        self._warning = warning

    def heed(self) -> None:
        """Hands on the warning, if there was one: the weights are saved.

        Raises:
            SystemExit: When the job is requeued, which its first process does; the others stay
                here until SLURM ends them.
            SIGTERMException: If SLURM is ending the job for another reason than preemption.
        """
        if self._warning is None or self._requeue is None:
            return
        (number, *_), warning, self._warning = self._warning, self._warning, None
        if number == signal.SIGTERM and not still_runs(os.environ.get("SLURM_JOB_ID", "")):
            raise SIGTERMException
        self._requeue(*warning)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while True:
            signal.pause()

    def stop_listening(self) -> None:
        """Gives the signals back, and heeds a warning that came meanwhile."""
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        self._signals = {}
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
