"""The undecoded image that the reader of each format returns, and checks that readers share."""

import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.metadata import NOTHING, Metadata


class Unreadable(Exception):
    """A clause that says what is wrong with a file; ``read_scan`` makes it a sentence."""


class NoImage(Unreadable):
    """A clause that says why a file is no scan, or of which format that is not read."""


class Trace(NamedTuple):
    """One image of a file, not decoded yet.

    Attributes:
        channel: As in ``Scan``.
        direction: As in ``Scan``.
        unit: As in ``Scan``.
        pixel_size: As in ``Scan``.
        decode: Returns [H, W] float64, oriented as in ``Scan``, NaN where not measured.
        history: As in ``Scan``, of files that ``Scan.save`` wrote.
        metadata: As in ``Scan``, without the size.
        doubts: Clauses on what of the file was not understood, or is less than it seems.
        frame: Its number in a movie, from 0; None: no movie.
    """

    channel: str
    direction: str
    unit: str
    pixel_size: tuple[float, float] | None
    decode: Callable[[], NDArray[np.float64]]
    history: tuple[str, ...] = ()
    metadata: Metadata = NOTHING
    doubts: tuple[str, ...] = ()
    frame: int | None = None


def decode_text(content: bytes) -> str:
    """Decode text as UTF-8; as latin-1 if it is none, as older programs write "µm"."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def library(module: str, need: str) -> Any:
    """Import an optional library.

    Args:
        module: Its import name.
        need: A clause such as "reading .sxm files needs nanonispy2".

    Raises:
        Unreadable: If it is absent; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Unreadable(f'{need}: pip install "stm_experiments[scans]"') from None


def check_size(height: int, width: int, capacity: int) -> None:
    """Refuse a size that a header states but its file cannot hold, before anything is allocated.

    An unfinished scan may be shorter than its header says, so up to 2^24 px are always accepted.

    Args:
        height: px.
        width: px.
        capacity: Number of pixels that the file can hold at most.

    Raises:
        Unreadable: If the size is not positive or too large.
    """
    if height < 1 or width < 1:
        raise Unreadable(f"damaged: its header says {width} x {height} px")
    if height * width > min(max(capacity, 2**24), 2**28):
        raise Unreadable(f"too large or damaged: its header says {width} x {height} px")


def pixel_size_nm(
    height: float, width: float, shape: tuple[int, int]
) -> tuple[float, float] | None:
    """Return the size of a pixel of a frame.

    Args:
        height: Edge to edge along axis 0, m.
        width: Edge to edge along axis 1, m.
        shape: (H, W), px.

    Returns:
        nm per px along axes 0 and 1; None unless both are positive and finite.
    """
    size = (float(abs(height) * 1e9 / shape[0]), float(abs(width) * 1e9 / shape[1]))
    return size if all(0 < s < math.inf for s in size) else None
