"""The log of a command: it follows no link, and names in it cannot control a terminal."""

import logging
import sys
from io import TextIOWrapper
from pathlib import Path

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
    logger = logging.getLogger(__name__)
    record = logger.makeRecord(
        logger.name, logging.ERROR, __file__, 0, "failed", (), sys.exc_info()
    )
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
