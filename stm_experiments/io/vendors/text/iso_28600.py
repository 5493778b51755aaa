"""ISO 28600, the SPM data transfer format: 128 numbered lines of header, then a line per pixel."""

import math

import numpy as np

from stm_experiments.io.directions import split_direction
from stm_experiments.io.metadata import iso_date, quantity, texts
from stm_experiments.io.trace import Trace, Unreadable, check_size, early_end, pixel_size_nm
from stm_experiments.io.units import number, to_si
from stm_experiments.io.vendors.text.numbers import read_numbers

TITLE = "ISO/TC 201 SPM data transfer format"
HEADER_LINES = 128  # which the standard numbers from 1
MOST_CHANNELS = 8  # in the header


def traces(text: str) -> list[Trace]:
    """List the channels of a map: up to eight."""
    lines = text.splitlines()
    if len(lines) <= HEADER_LINES:
        raise Unreadable("truncated")
    head = ["", *(line.strip() for line in lines[:HEADER_LINES])]
    modes = {"MAP_SC": 1, "MAP_MC": min(int(head[94] or 0), MOST_CHANNELS)}
    count = modes.get(head[8], 0)
    if count < 1 or head[17] != "REGULAR MAPPING":
        raise Unreadable(f"holds {head[8]} data in {head[17]}, expected a regular map")
    width, height = int(head[24]), int(head[25])
    check_size(height, width, len(lines))
    factor = math.nan if (to_si(head[26])[1] != "m") else to_si(head[26])[0]
    frame = (number(head[29] or "0") * factor, number(head[28] or "0") * factor)
    values = [line for line in lines[HEADER_LINES:] if line[:1].isdecimal() or line[:1] in "+-.nN "]
    numbers = read_numbers(values[: height * width])
    if numbers.shape[1] < count:
        raise Unreadable(f"has {numbers.shape[1]} numbers a line, expected {count}")
    filled = np.full((height * width, count), np.nan)
    filled[: len(numbers)] = numbers[:, :count]
    doubts = early_end(len(numbers), (height, width))
    rows = -1 if head[23].lower() == "bottom to top" else 1
    columns = -1 if head[21].lower() == "right to left" else 1
    traces = []
    for i in range(count):
        name, unit_text = (
            (head[69], head[70]) if count == 1 else (head[95 + 3 * i], head[96 + 3 * i])
        )
        z_factor, unit = to_si(unit_text)
        channel, direction = split_direction(name or f"channel {i}")
        grid = filled[:, i].reshape(height, width)[::rows, ::columns] * z_factor
        size = pixel_size_nm(*frame, (height, width))
        traces.append(
            Trace(
                channel, direction, unit, size, grid.copy, metadata=_metadata(head), doubts=doubts
            )
        )
    return traces


def _metadata(head: list[str]) -> dict[str, object]:
    """Return what the header says of the measurement; -1 and -1.0 stand for "unknown"."""
    date = "-".join(part.zfill(2) for part in head[9:12])
    time = ":".join(part.zfill(2) for part in head[12:15])
    known = not any(part in ("", "-1") for part in head[9:15])
    return {
        **texts(
            date=iso_date(f"{date} {time}") if known else None,
            instrument=head[4],
            comment=head[7],
        ),
        **quantity("angle", head[32], "deg"),
    }
