"""What a file holds, in words: its images with their sizes and ranges, and its metadata."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from stm_experiments.io.metadata import describe, describe_image
from stm_experiments.io.read import one_line, one_sentence, read_traces
from stm_experiments.io.trace import Trace, Unreadable, why_not_read

MOST_LISTED = 64  # images that a listing describes


class Described(NamedTuple):
    """One image of a file, in words.

    Attributes:
        name: Channel, direction and, in a movie, the frame.
        extent: Size in px and the range of its values, or why it cannot be read.
    """

    name: str
    extent: str


def describe_file(path: str | Path) -> tuple[list[Described], list[str]]:
    """Describe the images of a file, and what it says of the measurement.

    Args:
        path: As in ``read_scan``.

    Returns:
        The images, and phrases such as "bias -550 mV".

    Raises:
        ScanError: If the file cannot be read.
    """
    path = Path(path)
    with one_sentence(path):
        traces = read_traces(path)
        images = [
            Described(_full_title(trace), _extent(trace, path)) for trace in traces[:MOST_LISTED]
        ]
        if len(traces) > MOST_LISTED:
            images.append(Described(f"{len(traces) - MOST_LISTED} more", ""))
        return images, [one_line(phrase) for phrase in describe(traces[0].metadata)]


def _full_title(trace: Trace) -> str:
    frame = "" if trace.frame is None else f", frame {trace.frame}"
    return f"{trace.channel} ({trace.direction}{frame})"


def _extent(trace: Trace, path: Path) -> str:
    """Return size, range and doubts of a trace: "512 x 256 px, 4 x 2 nm, -1.2 nm to 3.4 nm"."""
    try:
        data = trace.decode()
    except Unreadable as error:
        return one_line(str(error))
    except Exception as error:  # as in ``read_scan``; the other images are not to suffer
        return why_not_read(error, path)
    parts = describe_image(data, np.isfinite(data), trace.unit, trace.pixel_size)
    return "; ".join([", ".join(parts), *map(one_line, trace.doubts)])
