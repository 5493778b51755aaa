"""Commands that run in copies of this process, so that nothing is imported again."""

import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from stm_experiments.evaluation import assess

# Doors are run, as by a command line; no other module uses what is in them.
DOORS = {name: import_module(f"stm_experiments.{name}") for name in ("train", "report")}


def start(
    arguments: list[str], output: Path, prepare: Callable[[], None], door: str = "train"
) -> int:
    """Run a command in a copy of this process.

    Args:
        arguments: Arguments of the command line.
        output: File that receives what it prints.
        prepare: Called in the new process before anything else.
        door: Name of the command.

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
        # Of a test, whose own outputs do not end in those files.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        sys.argv = [f"{door}.py", *arguments]
        prepare()
        DOORS[door].main()
        code = 0
    except SystemExit as end:
        code = end.code
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
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
