"""The log of a command: it follows no link, and names in it cannot control a terminal."""

import logging
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from stm_experiments.core.files import open_own
from stm_experiments.core.texts import printable


def quieten_lightning() -> None:
    """Leave out Lightning's advertisements and its lists of absent accelerators.

    Its import adds a handler and sets a level, after the command has set up its log.
    """
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.WARNING)


def log_traceback() -> None:
    """Write the traceback of the current exception to the log file, not to the terminal."""
    _write_to_file(logging.ERROR, "failed", sys.exc_info())


def print_and_log(line: str) -> None:
    """Print a line, and write it to the log file."""
    print(printable(line))
    _write_to_file(logging.INFO, line)


def _write_to_file(level: int, message: str, error: Any = None) -> None:
    """Write a message to the log file, not to the terminal.

    Args:
        level: Of the logging module.
        message: The text.
        error: As ``sys.exc_info`` returns it; None: no error.
    """
    logger = logging.getLogger(__name__)
    record = logger.makeRecord(logger.name, level, __file__, 0, "%s", (message,), error)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


class LogFile(logging.FileHandler):
    """The log file in the folder of a command; conf/hydra/job_logging names it."""

    def _open(self) -> TextIOWrapper:
        """Open the file.

        Raises:
            OSError: If it is a link or cannot be written.
        """
        return open_own(Path(self.baseFilename))


class PrintableFormatter(logging.Formatter):
    """A formatter after which a message holds no control characters but line breaks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return printable(super().format(record))
