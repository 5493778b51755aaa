"""A picture of the gallery."""

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.figure import Figure


class Entry(NamedTuple):
    """A picture of the gallery.

    Attributes:
        name: Of its file, and of its function in ``figures``.
        source: The command or call that draws it.
        about: What is drawn here, a sentence.
        draw: Draws it.
    """

    name: str
    source: str
    about: str
    draw: Callable[[], Figure]
