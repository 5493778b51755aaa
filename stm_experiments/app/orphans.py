"""The end of a job whose sweep is gone.

    python -m stm_experiments.app.orphans stm_experiments.train seed=0 ...

runs a command as a job of a sweep, as launchers do: the watch begins before the imports, which take
seconds.
"""

import os
import runpy
import signal
import sys
import threading

# Set by a launcher that holds the other end of the standard input; then the process that watches.
ENDS_WITH_STDIN = "STM_ENDS_WITH_STDIN"


def end_with_sweep() -> None:
    """Let this process end as by SIGTERM when the launcher that started it is gone.

    The standard input of a job, and of further processes that it starts, is a pipe. Its other end
    closes when the launcher ends, also by SIGKILL. A second call changes nothing.
    """
    watcher, this = os.environ.get(ENDS_WITH_STDIN), str(os.getpid())
    if watcher and watcher != this:
        os.environ[ENDS_WITH_STDIN] = this
        threading.Thread(target=_end_with_stdin, daemon=True).start()


def _end_with_stdin() -> None:
    """Wait for the end of the standard input, and end this process."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    end_with_sweep()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
