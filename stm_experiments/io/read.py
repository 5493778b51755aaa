"""Reads a scan of any format: chooses the reader, the channel and the direction."""

import contextlib
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from stm_experiments.core.files import SCAN_BYTES, FileRefused, check_regular
from stm_experiments.core.texts import printable
from stm_experiments.io.scan import Scan, ScanError
from stm_experiments.io.trace import Trace, Unreadable
from stm_experiments.io.vendors import gwyddion, igor, nanonis, omicron, plain, rhk, text

FORMATS: dict[str, Callable[[Path], list[Trace]]] = {
    ".sxm": nanonis.traces,
    ".gwy": gwyddion.traces,
    ".ibw": igor.traces,
    "_mtrx": omicron.traces,
    ".mtrx": omicron.traces,
    ".sm4": rhk.traces,
    ".spm": text.traces,
    ".txt": text.traces,
    ".asc": text.traces,
    ".csv": text.traces,
    ".xyz": text.traces,
    ".tif": plain.traces,
    ".tiff": plain.traces,
    ".png": plain.traces,
    ".npy": plain.traces,
}
TOPOGRAPHY = ("z", "topo", "height")  # starts of the names of height channels
LONGEST_NAME = 100  # characters of a channel or unit


def read_scan(path: str | Path, channel: str | None = None, direction: str = "forward") -> Scan:
    """Read one channel of a microscope file or image.

    Formats: Nanonis ``.sxm``, Gwyddion ``.gwy``, Igor ``.ibw``, Omicron Matrix ``*_mtrx``, RHK
    ``.sm4``, grids of numbers in ``.txt``, ``.spm`` (also ISO 28600), ``.asc``, ``.csv`` and
    ``.xyz``, ``.tif``, ``.png``, ``.npy``.

    Args:
        path: The file; its name is taken literally.
        channel: Its name or the unique start of it, in any case; None: the topography, or the first
            channel if there is no topography.
        direction: ``"forward"`` or ``"backward"``; ``"forward/down"`` and ``"backward/down"`` for
            the second pass of a scan up and down again. ``"forward"`` reads the backward scan of a
            file that holds backward scans alone.

    Returns:
        The scan. Pixels that are NaN, infinite or beyond the end of an unfinished scan are masked.

    Raises:
        ScanError: If the file cannot be read, lacks the channel or direction (the message lists
            those that exist), or holds no measured pixel.
    """
    path = Path(path)
    with _one_sentence(path):
        traces = _traces(path)
        trace = _choose(traces, channel, direction)
        data = np.array(trace.decode(), np.float64)
        mask = np.isfinite(data)
        if not mask.any():
            raise Unreadable(f"no pixel of {trace.channel} ({trace.direction}) was measured")
        data[~mask] = np.median(data[mask])
    names = tuple(dict.fromkeys(trace.channel for trace in traces))
    return Scan(
        data,
        mask,
        trace.unit,
        trace.pixel_size,
        trace.channel,
        trace.direction,
        names,
        tuple(_printable(line) for line in trace.history),
        printable(path.name),
        path,
    )


def read_other_trace(scan: Scan) -> Scan | None:
    """Read the same channel in the other direction of the fast axis.

    Args:
        scan: One trace.

    Returns:
        The other trace; None if the scan is not as it was read from a file, or its file has no
        other trace.
    """
    if scan.source is None:
        return None
    way, *passes = scan.direction.split("/")
    other = "/".join(["backward" if way == "forward" else "forward", *passes])
    if other not in list_channels(scan.source).get(scan.channel, []):
        return None
    return read_scan(scan.source, scan.channel, other)


def list_channels(path: str | Path) -> dict[str, list[str]]:
    """Return the channels of a microscope file or image, each with its directions.

    Args:
        path: As in ``read_scan``.

    Raises:
        ScanError: If the file cannot be read.
    """
    path = Path(path)
    with _one_sentence(path):
        return _directions(_traces(path))


def _traces(path: Path) -> list[Trace]:
    name = path.name.lower()
    reader = next((FORMATS[ending] for ending in FORMATS if name.endswith(ending)), None)
    if reader is None:
        raise Unreadable(f"unknown format '{path.suffix}', use {', '.join(FORMATS)}")
    if path.is_dir():
        raise Unreadable("a folder, expected a file")
    check_regular(path, SCAN_BYTES)
    traces: list[Trace] = []
    copies: Counter[tuple[str, str]] = Counter()
    for trace in reader(path):
        name = _printable(trace.channel[:LONGEST_NAME]) or "image"
        copies[name, trace.direction] += 1
        number = copies[name, trace.direction]
        unique = name if number == 1 else f"{name} #{number}"
        traces.append(trace._replace(channel=unique, unit=_printable(trace.unit[:LONGEST_NAME])))
    if not traces:
        raise Unreadable("holds no image")
    return traces


def _choose(traces: list[Trace], channel: str | None, direction: str) -> Trace:
    name = _topography(traces) if channel is None else _full_name(traces, channel)
    by_direction = {trace.direction: trace for trace in traces if trace.channel == name}
    key = direction.lower().removesuffix("/up")
    if key == "forward" and all(trace.direction.startswith("backward") for trace in traces):
        key = "backward"
    if key not in by_direction:
        raise Unreadable(f"{name} has no direction '{direction}', there is {_listing(traces)}")
    return by_direction[key]


def _topography(traces: list[Trace]) -> str:
    """Return the channel that most likely holds heights; the first of equals."""

    def doubt(trace: Trace) -> tuple[bool, bool]:
        return trace.unit != "m", not trace.channel.lower().startswith(TOPOGRAPHY)

    return min(traces, key=doubt).channel


def _full_name(traces: list[Trace], channel: str) -> str:
    """Return the one channel of this name, in any case, or of a name that starts so."""
    names = list(dict.fromkeys(trace.channel for trace in traces))
    lower = channel.lower()
    for candidates in (
        [name for name in names if name == channel],
        [name for name in names if name.lower() == lower],
        [name for name in names if lower and name.lower().startswith(lower)],
    ):
        if len(candidates) == 1:
            return candidates[0]
    raise Unreadable(f"no channel '{channel}', there is {_listing(traces)}")


def _directions(traces: list[Trace]) -> dict[str, list[str]]:
    directions: dict[str, list[str]] = {}
    for trace in traces:
        directions.setdefault(trace.channel, []).append(trace.direction)
    return directions


def _listing(traces: list[Trace]) -> str:
    """List all channels, each with its directions."""
    channels = _directions(traces).items()
    return "; ".join(f"{name} ({', '.join(directions)})" for name, directions in channels)


def _printable(text: str) -> str:
    """Return a text of a file on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@contextlib.contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Turn any exception of a reader into a ScanError that names the file; silence libraries."""
    loggers = [logging.getLogger(name) for name in ("igor2", "tifffile")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
    except FileNotFoundError:
        raise ScanError(f"{path}: no such file.") from None
    except FileRefused as error:
        raise ScanError(f"{error}.") from None
    except Unreadable as error:
        raise ScanError(f"{path}: {_printable(str(error))}.") from None
    except Image.DecompressionBombError as error:
        raise ScanError(f"{path}: too large to be an image.") from error
    except Exception as error:  # damaged files make readers raise anything
        reason = _printable(str(error)[:200]).rstrip(".") or type(error).__name__
        raise ScanError(f"{path}: cannot be read ({reason}).") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
