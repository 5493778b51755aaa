"""The end of a job whose sweep is gone."""

import os
import signal
import threading

ENDS_WITH_STDIN = "STM_ENDS_WITH_STDIN"  # set by a launcher that holds the other end


def end_with_sweep() -> None:
    """Let this process end as by SIGTERM when the launcher that started it is gone.

    The standard input of a job, and of further processes that it starts, is a pipe. Its other end
    closes when the launcher ends, also by SIGKILL.
    """
    if os.environ.get(ENDS_WITH_STDIN):
        threading.Thread(target=_end_with_stdin, daemon=True).start()


def _end_with_stdin() -> None:
    """Wait for the end of the standard input, and end this process."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
