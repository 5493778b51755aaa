"""Reading a scan, whatever the file's format: choose its reader, its channel, its direction."""

import contextlib
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from stm_experiments.io.scan import Scan, ScanError
from stm_experiments.io.trace import Trace, Unreadable
from stm_experiments.io.vendors import gwyddion, igor, nanonis, omicron, plain, rhk, text

READERS: dict[str, Callable[[Path], list[Trace]]] = {
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
TOPOGRAPHY = ("z", "topo", "height")


def read_scan(path: str | Path, channel: str | None = None, direction: str = "forward") -> Scan:
    """Read one channel of a microscope file or image.

    Formats: Nanonis ``.sxm``, Gwyddion ``.gwy``, Igor ``.ibw``, Omicron Matrix ``*_mtrx``, RHK
    ``.sm4``, grids of numbers in ``.txt``, ``.spm`` (also ISO 28600), ``.asc``, ``.csv`` and
    ``.xyz``, ``.tif``, ``.png``, ``.npy``.

    Args:
        path: The file; its name is taken literally.
        channel: Its name or the unique start of it, in any case; None: the topography, or the first
            channel where there is none.
        direction: ``"forward"`` or ``"backward"``; ``"forward/down"`` and ``"backward/down"`` for
            the second pass of a scan up and down again. A file of backward scans alone is read
            backward if forward is asked for.

    Returns:
        The scan. Pixels that are NaN, infinite or beyond the end of an unfinished scan are masked.

    Raises:
        ScanError: If the file cannot be read, lacks the channel or direction (the message lists
            what there is), or holds no measured pixel.
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
        path.name,
    )


def list_channels(path: str | Path) -> dict[str, list[str]]:
    """Name the channels of a microscope file or image, each with its directions.

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
    reader = next((READERS[ending] for ending in READERS if name.endswith(ending)), None)
    if reader is None:
        raise Unreadable(f"unknown format '{path.suffix}', use {', '.join(READERS)}")
    if path.is_dir():
        raise Unreadable("a folder, expected a file")
    found: list[Trace] = []
    seen: Counter[tuple[str, str]] = Counter()
    for trace in reader(path):
        name = _printable(trace.channel[:100]) or "image"
        seen[name, trace.direction] += 1
        number = seen[name, trace.direction]
        unique = name if number == 1 else f"{name} #{number}"
        found.append(trace._replace(channel=unique, unit=_printable(trace.unit[:100])))
    if not found:
        raise Unreadable("holds no image")
    return found


def _choose(traces: list[Trace], channel: str | None, direction: str) -> Trace:
    name = _topography(traces) if channel is None else _match(traces, channel)
    there = {trace.direction: trace for trace in traces if trace.channel == name}
    asked = direction.lower().removesuffix("/up")
    if asked == "forward" and all(trace.direction.startswith("backward") for trace in traces):
        asked = "backward"
    if asked not in there:
        raise Unreadable(f"{name} has no direction '{direction}', there is {_listing(traces)}")
    return there[asked]


def _topography(traces: list[Trace]) -> str:
    """The channel that most looks like heights."""

    def doubt(trace: Trace) -> int:
        named = trace.channel.lower().startswith(TOPOGRAPHY)
        return 0 if named and trace.unit == "m" else 1 if trace.unit == "m" else 2 if named else 3

    return min(traces, key=doubt).channel  # the first of equals


def _match(traces: list[Trace], channel: str) -> str:
    names = list(dict.fromkeys(trace.channel for trace in traces))
    asked = channel.lower()
    for candidates in (
        [name for name in names if name == channel],
        [name for name in names if name.lower() == asked],
        [name for name in names if asked and name.lower().startswith(asked)],
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
    """All channels, each with its directions."""
    return "; ".join(f"{name} ({', '.join(found)})" for name, found in _directions(traces).items())


def _printable(text: str) -> str:
    """A text of a file on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@contextlib.contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises into a ScanError that names the file; keep libraries quiet."""
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
    except Unreadable as error:
        raise ScanError(f"{path}: {_printable(str(error))}.") from None
    except Image.DecompressionBombError as error:
        raise ScanError(f"{path}: too large to be an image.") from error
    except Exception as error:  # readers of damaged files raise whatever they like
        reason = _printable(str(error)[:200]).rstrip(".") or type(error).__name__
        raise ScanError(f"{path}: cannot be read ({reason}).") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
