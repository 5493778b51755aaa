"""Lets a Qt window work inside a test."""

import time

LONGEST = 60  # s, that a calculation may take on a busy machine


def settle():
    """Let the window do what is due."""
    from napari.qt import get_qapp

    for _ in range(5):
        get_qapp().processEvents()


def wait_for(condition):
    """Let the window work until a condition holds.

    Raises:
        TimeoutError: If it never does.
    """
    end = time.monotonic() + LONGEST
    settle()
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the window does not get there")
        settle()
        time.sleep(0.002)
    settle()
