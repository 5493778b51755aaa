"""Signals that ask a training to stop: from a user, or from a cluster that needs its processors."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch.utilities.exceptions import SIGTERMException


class StopSignals:
    """Holds a signal until the step is saved, then stops the training or has its job requeued.

    SIGTERM stops the training. Lightning alone would do so too, but with several processes per
    training some would wait for the others forever. Here only the signals of the first process
    count.

    SLURM sends SIGUSR2 before a time limit, and SIGTERM to a job that is preempted, cancelled or
    requeued by a user. submitit, which runs the job, would requeue it at SIGUSR2 immediately, in
    the middle of a step. A preempted job that ends within the grace time of its partition counts as
    completed, and SLURM would not start it again; such a job is requeued here as well.
    """

    def __init__(self) -> None:
        self._requeue: Callable[..., Any] | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._received: tuple[Any, ...] | None = None

    @property
    def pending(self) -> bool:
        """Whether a signal waits for ``act``."""
        return self._received is not None

    def catch(self, *, ignore: bool) -> None:
        """Hold signals from now on. Call this after Lightning has set its own handlers.

        Args:
            ignore: Ignore the signals instead, as all processes but the first one do.
        """
        requeue = signal.getsignal(signal.SIGUSR2)
        self._requeue = requeue if callable(requeue) else None
        for number in (signal.SIGTERM, *([signal.SIGUSR2] if self._requeue else [])):
            self._handlers[number] = signal.signal(
                number, signal.SIG_IGN if ignore else self._receive
            )

    def _receive(self, *arguments: Any) -> None:
        """Hold a signal; the arguments are those of every handler: number and stack frame."""
        self._received = arguments

    def act(self) -> None:
        """Do what a held signal asks for, if there is one. The weights must be saved.

        Raises:
            SystemExit: When the job is requeued.
            SIGTERMException: When the training is to stop.
        """
        if self._received is None:
            return
        arguments, self._received = self._received, None
        job = os.environ.get("SLURM_JOB_ID", "")
        if self._requeue is None or (arguments[0] == signal.SIGTERM and not is_running(job)):
            raise SIGTERMException
        self._requeue(*arguments)

    def wait_for_end(self) -> None:
        """Wait, in all processes but the first one, until it or SLURM ends them.

        Raises:
            SIGTERMException: If nobody does so within a minute.
        """
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(60)
        raise SIGTERMException

    def release(self) -> None:
        """Restore the handlers, and act on a signal that came meanwhile."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        self.act()


def is_running(job: str) -> bool:
    """Return whether SLURM lets a job run; a cancelled job must not be requeued.

    Args:
        job: Number of the job in SLURM.
    """
    try:
        queue = subprocess.run(
            ["squeue", "--noheader", f"--jobs={job}", "--format=%T"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return queue.stdout.split() == ["RUNNING"]
