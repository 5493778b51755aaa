"""What the reader of each format returns, and what readers share."""

import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Unreadable(Exception):
    """A clause that says what is wrong with a file; ``read_scan`` makes the sentence of it."""


class Trace(NamedTuple):
    """One image of a file, which is not decoded yet; what the reader of each format returns.

    Attributes:
        channel: As in ``Scan``.
        direction: As in ``Scan``.
        unit: As in ``Scan``.
        pixel_size: As in ``Scan``.
        decode: Gives ``[H,W]`` float64, oriented as in ``Scan``, NaN where not measured.
        history: As in ``Scan``: of files that ``Scan.save`` wrote.
    """

    channel: str
    direction: str
    unit: str
    pixel_size: tuple[float, float] | None
    decode: Callable[[], NDArray[np.float64]]
    history: tuple[str, ...] = ()


def library(module: str, need: str) -> Any:
    """Import an optional library.

    Args:
        module: What to import.
        need: What needs what, such as "reading .sxm files needs nanonispy2".

    Raises:
        Unreadable: If it is absent; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Unreadable(f'{need}: pip install "stm_experiments[scans]"') from None


def check_size(height: int, width: int, held: int) -> None:
    """Refuse a size that a header states but its file cannot hold, before anything is allocated.

    An unfinished scan may be shorter than its header says, so up to 2^24 px are always believed.

    Args:
        height: px.
        width: px.
        held: Pixels that the file could hold at most.

    Raises:
        Unreadable: If the size is not positive or too large.
    """
    if height < 1 or width < 1:
        raise Unreadable(f"damaged: its header says {width} x {height} px")
    if height * width > min(max(held, 2**24), 2**28):
        raise Unreadable(f"too large or damaged: its header says {width} x {height} px")


def pixel_size_nm(
    height: float, width: float, shape: tuple[int, int]
) -> tuple[float, float] | None:
    """Divide a frame's size by its pixels.

    Args:
        height: Edge to edge along axis 0, m.
        width: Edge to edge along axis 1, m.
        shape: (H, W), px.

    Returns:
        nm per px along axes 0 and 1; None unless both are positive and finite.
    """
    size = (float(abs(height) * 1e9 / shape[0]), float(abs(width) * 1e9 / shape[1]))
    return size if all(0 < s < math.inf for s in size) else None
