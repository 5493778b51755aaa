"""Warnings of the package as napari's notifications."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from napari.utils.notifications import show_warning


class Notifications(logging.Handler):
    """Shows each warning in the window."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show a warning."""
        show_warning(record.getMessage())


@contextmanager
def show_warnings() -> Iterator[None]:
    """Show the package's warnings in the window as long as the context lasts."""
    log, handler = logging.getLogger("stm_experiments"), Notifications(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
