"""The undecoded image that the reader of each format returns, and checks that readers share."""

import importlib
import math
from collections.abc import Callable
from pathlib import Path
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


class Picture(NamedTuple):
    """An image that is to be written.

    Attributes:
        data: [H, W] in ``unit``.
        mask: [H, W], False for the pixels that were not measured.
        unit: SI.
        pixel_size: nm per px along axes 0 and 1; None: unknown.
    """

    data: NDArray[np.float64]
    mask: NDArray[np.bool_]
    unit: str
    pixel_size: tuple[float, float] | None


def why_not_read(error: Exception, path: Path) -> str:
    """Return a clause on what a reader or its library raised; the libraries' words tell little."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror.lower()}"
    if isinstance(error, MemoryError):
        return "too large for the memory"
    if "truncated" in str(error).lower():
        return "truncated: the file ends early"
    return f"cannot be read: damaged, or not a {path.suffix[1:].upper()} file"


def stored_image(
    content: bytes | memoryview, dtype: np.dtype[Any], start: int, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the values of an image in the order of the file, NaN beyond the end of the file.

    Args:
        content: Of the file.
        dtype: Of its values.
        start: Where they begin, bytes.
        shape: (H, W), px.

    Returns:
        [H, W].
    """
    image = np.full(shape[0] * shape[1], np.nan)
    count = min(stored_values(len(content), dtype, start), image.size)
    image[:count] = np.frombuffer(content, dtype, count, min(start, len(content)))
    return image.reshape(shape)


def stored_values(size: int, dtype: np.dtype[Any], start: int) -> int:
    """Return how many values lie between a place and the end of a file, all in bytes."""
    return max(size - start, 0) // dtype.itemsize


def early_end(values: int, shape: tuple[int, int]) -> tuple[str, ...]:
    """Return the doubt about a file that ends before the last value of an image.

    Args:
        values: Number of those that are there.
        shape: (H, W) as the header says, px.

    Returns:
        Nothing if all are there.
    """
    if values >= shape[0] * shape[1]:
        return ()
    return (f"the file ends early: {values // shape[1]} of {shape[0]} lines are there",)


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
