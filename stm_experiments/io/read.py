"""Reads a scan of any format: chooses the reader, the channel and the direction."""

import contextlib
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stm_experiments.core.arrays import Array
from stm_experiments.core.files import SCAN_BYTES, FileRefused, check_regular
from stm_experiments.core.texts import did_you_mean, printable
from stm_experiments.io.formats import find_reader, why_unread
from stm_experiments.io.given_units import with_given_units
from stm_experiments.io.metadata import Metadata
from stm_experiments.io.scan import NotAScanError, Scan, ScanError
from stm_experiments.io.trace import NoImage, Trace, Unreadable, why_not_read

TOPOGRAPHY = ("z", "topo", "height")  # starts of the names of height channels
LONGEST_NAME = 100  # characters of a channel or unit
log = logging.getLogger(__name__)


def read_scan(
    path: str | Path,
    channel: str | None = None,
    direction: str = "forward",
    frame: int | None = None,
    *,
    unit: str | None = None,
    pixel_nm: float | Sequence[float] | None = None,
) -> Scan:
    """Read one channel of a microscope file or image.

    Formats: Nanonis ``.sxm`` and grids ``.3ds``, Createc ``.dat``, Bruker Nanoscope ``.spm`` and
    ``.000``, Omicron Matrix ``*_mtrx`` and SCALA ``.par``, RHK ``.sm4``, WSxM ``.stp`` and
    ``.top``, Igor ``.ibw``, Gwyddion ``.gwy`` and ``.gsf``, NeXus ``.nxs``, numbers as text in
    ``.txt``, ``.asc``, ``.csv``, ``.xyz`` and ``.spm`` (ISO 28600), ``.tif`` (also movies),
    ``.png``, ``.jpg``, ``.bmp``, ``.npy``.

    Args:
        path: The file; its name is taken literally.
        channel: Its name or the unique start of it, in any case; None: the topography, or the first
            channel if there is no topography.
        direction: ``"forward"`` or ``"backward"``; ``"forward/down"`` and ``"backward/down"`` for
            the second pass of a scan up and down again. ``"forward"`` reads the backward scan of a
            file that holds backward scans alone.
        frame: Number of an image in a movie, from 0; None: the file is no movie.
        unit: Of the values, such as ``m``, ``nm``, ``pA`` or ``mV``, where the file does not state
            it; they are converted to m, A or V. None: the file's.
        pixel_nm: Size of a pixel, nm, or its height and width, where the file does not state it;
            None: the file's.

    Returns:
        The scan. Pixels that are NaN, infinite or beyond the end of an unfinished scan are masked.

    Raises:
        ScanError: If the file cannot be read, lacks the channel, direction or frame (the message
            lists those that exist), holds less than one measured row, or a constant topography
            beside channels that hold data, and no channel was named; or if it states another unit
            or pixel size.
        NotAScanError: If it is no scan, or of a format that is not read.
        ValueError: If ``unit`` or ``pixel_nm`` is wrong.
    """
    path = Path(path)
    with one_sentence(path):
        traces = _of_frame(read_traces(path), frame)
        trace = _choose(traces, channel, direction)
        data = _decode(trace)
        if channel is None:
            _check_varied(trace, traces, data[np.isfinite(data)])
    return with_given_units(_as_scan(path, trace, data, traces), path, unit, pixel_nm)


def read_scans(path: str | Path, most: int) -> list[Scan]:
    """Read the images of a file: its channels, directions and frames.

    An image that cannot be read is left out with a warning.

    Args:
        path: As in ``read_scan``.
        most: Images that are read at most; a warning says how many more there are.

    Returns:
        At least one: first the topography, or that of a movie's first frame, then the others in the
        order of the file.

    Raises:
        ScanError: If the file, or every image in it, cannot be read.
    """
    path = Path(path)
    with one_sentence(path):
        traces = read_traces(path)
        first = _choose(_of_frame(traces, traces[0].frame), None, "forward")
    others = [trace for trace in traces if trace is not first]
    scans, faults = [], []
    for trace in [first, *others][:most]:
        try:
            with one_sentence(path):
                data = _decode(trace)
        except ScanError as error:
            faults.append(error)
            continue
        scans.append(_as_scan(path, trace, data, traces))
    if not scans:
        raise faults[0]
    for fault in faults:
        log.warning("%s", printable(str(fault)))
    more = len(traces) - most
    if more > 0:
        are = "image is" if more == 1 else "images are"
        log.warning("%s: %d more %s not shown.", printable(path.name), more, are)
    return scans


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
    with one_sentence(path):
        return _directions(read_traces(path))


def count_frames(path: Path) -> int:
    """Return the number of images of a movie, 0 for other files.

    Raises:
        ScanError: If the file cannot be read.
    """
    with one_sentence(path):
        return len({trace.frame for trace in read_traces(path)} - {None})


def read_traces(path: Path) -> list[Trace]:
    """Return the images of a file, not decoded, with names that differ; in ``one_sentence``."""
    reader = find_reader(path)
    if reader is None:
        raise NoImage(why_unread(path))
    if path.is_dir():
        raise Unreadable("a folder, expected a file")
    check_regular(path, SCAN_BYTES)
    if not path.stat().st_size:
        raise NoImage("empty: it has no bytes")
    traces: list[Trace] = []
    copies: Counter[tuple[str, str, int | None]] = Counter()
    for trace in reader(path):
        name = one_line(trace.channel[:LONGEST_NAME]) or "image"
        copies[name, trace.direction, trace.frame] += 1
        number = copies[name, trace.direction, trace.frame]
        unique = name if number == 1 else f"{name} #{number}"
        traces.append(trace._replace(channel=unique, unit=one_line(trace.unit[:LONGEST_NAME])))
    if not traces:
        raise NoImage("holds no image")
    return traces


def _choose(traces: list[Trace], channel: str | None, direction: str) -> Trace:
    name = _topography(traces) if channel is None else _full_name(traces, channel)
    by_direction = {trace.direction: trace for trace in traces if trace.channel == name}
    key = direction.lower().removesuffix("/up")
    if key == "forward" and all(trace.direction.startswith("backward") for trace in traces):
        key = "backward"
    if key not in by_direction and f"{key}/down" in by_direction:
        key += "/down"  # a file with the second pass alone
    if key not in by_direction:
        likely = did_you_mean(key, by_direction)
        raise Unreadable(
            f"{name} has no direction '{direction}'{likely}, there is {_listing(traces)}"
        )
    return by_direction[key]


def _of_frame(traces: list[Trace], frame: int | None) -> list[Trace]:
    """Return the traces of one frame."""
    frames = {trace.frame for trace in traces} - {None}
    if frame in frames or (not frames and frame in (None, 0)):
        return [trace for trace in traces if trace.frame == (frame if frames else None)]
    if not frames:
        raise Unreadable("no movie: it has no frame but 0")
    raise Unreadable(f"a stack of {len(frames)} images: choose frame=0 to frame={len(frames) - 1}")


def _decode(trace: Trace) -> Array:
    """Return the values of a trace, [H, W], not finite where not measured.

    Raises:
        Unreadable: If less than one row was measured.
    """
    data = np.array(trace.decode(), np.float64)
    mask = np.isfinite(data)
    if not mask.any():
        reasons = "".join(f"; {doubt}" for doubt in trace.doubts)
        raise Unreadable(f"no pixel of {trace.channel} ({trace.direction}) was measured{reasons}")
    if mask.sum() < data.shape[1]:
        raise Unreadable(
            f"truncated: of {trace.channel} ({trace.direction}) less than one row is there"
        )
    return data


def _as_scan(path: Path, trace: Trace, data: Array, traces: list[Trace]) -> Scan:
    """Return a trace of a file as a scan; its doubts become warnings.

    Args:
        path: The file.
        trace: One of its traces.
        data: The values of the trace, [H, W]; what is not finite in them is filled.
        traces: All of the file.
    """
    mask = np.isfinite(data)
    doubts = list(trace.doubts)
    if infinite := int(np.isinf(data).sum()):
        doubts.append(f"{infinite} of {data.size} values are infinite and count as not measured")
    data[~mask] = np.median(data[mask])
    for doubt in doubts:
        log.warning("%s: %s.", printable(path.name), one_line(doubt))
    return Scan(
        data,
        mask,
        trace.unit,
        trace.pixel_size,
        trace.channel,
        trace.direction,
        tuple(dict.fromkeys(trace.channel for trace in traces)),
        tuple(one_line(line) for line in trace.history),
        printable(path.name),
        path,
        _plain(trace.metadata),
    )


def _check_varied(trace: Trace, traces: list[Trace], measured: Array) -> None:
    """Refuse a constant topography that nobody asked for, if other channels hold data."""
    if measured.min() < measured.max():
        return
    others = [other for other in traces if other.channel != trace.channel]
    varied = {other.channel for other in others if np.nanstd(other.decode()) > 0}
    names = [other.channel for other in others if other.channel in varied]
    if names:
        raise Unreadable(
            f"{trace.channel} is constant, as in a scan at constant height: choose the channel "
            f"{' or '.join(dict.fromkeys(names))}"
        )


def _plain(metadata: Metadata) -> dict[str, Any]:
    """Return metadata without control characters in their texts."""
    return {
        key: one_line(value) if isinstance(value, str) else value for key, value in metadata.items()
    }


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
        known = directions.setdefault(trace.channel, [])
        if trace.direction not in known:
            known.append(trace.direction)
    return directions


def _listing(traces: list[Trace]) -> str:
    """List all channels, each with its directions."""
    channels = _directions(traces).items()
    return "; ".join(f"{name} ({', '.join(directions)})" for name, directions in channels)


def one_line(text: str) -> str:
    """Return a text of a file on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@contextlib.contextmanager
def one_sentence(path: Path) -> Iterator[None]:
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
        kind = NotAScanError if isinstance(error, NoImage) else ScanError
        raise kind(f"{path}: {one_line(str(error))}.") from None
    except Image.DecompressionBombError as error:
        raise ScanError(f"{path}: too large to be an image.") from error
    except Exception as error:  # damaged files make readers raise anything
        raise ScanError(f"{path}: {why_not_read(error, path)}.") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
