"""Files of WSxM: binary images (.stp, .top and others), and exports as matrix or as points.

Images lie in the file turned by half a turn: the first value is that of the lower right corner.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.directions import split_direction
from stm_experiments.io.metadata import amount_of, iso_date, texts
from stm_experiments.io.trace import (
    Trace,
    Unreadable,
    check_size,
    decode_text,
    early_end,
    pixel_size_nm,
    stored_image,
    stored_values,
)
from stm_experiments.io.units import length_nm, number, to_si
from stm_experiments.io.vendors.text.numbers import grid_of_points, is_numbers, read_numbers

START = "WSxM file copyright"
TYPES = {"short": "<i2", "integer": "<i4", "float": "<f4", "double": "<f8"}
MOST_HEADER = 2**20  # bytes


def is_text(text: str) -> bool:
    """Say whether a text is one of the two text exports."""
    return text.startswith(START) and "WSxM ASCII" in text[:200]


def text_traces(text: str) -> list[Trace]:
    """List the one image of a text export."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines[2:], 2) if is_numbers(line)), len(lines))
    head, numbers = lines[:first], read_numbers(lines[first:])
    if "XYZ" in head[1]:
        return [_points(head, numbers)]
    entries = _entries(head)
    picture = numbers[::-1, ::-1]
    z_factor, unit = to_si(re.sub(r"^[\s\d.,eE+-]+", "", entries.get("z amplitude", "")))
    size = pixel_size_nm(*_frame(entries), (picture.shape[0], picture.shape[1]))
    return [Trace("image", "forward", unit, size, lambda: picture * z_factor)]


def _points(head: list[str], points: NDArray[np.float64]) -> Trace:
    """Read points whose columns are titled ``X[nm]  Y[nm]  Z[nm]``; y grows upwards."""
    titles = re.findall(r"([^\s\[\]]+)\s*\[([^\]]*)\]", head[-1].strip() or head[-2])
    grid = grid_of_points(points, is_down=False)
    size, channel, factor, unit = None, "image", 1.0, ""
    if len(titles) == 3:
        lateral, lateral_unit = to_si(titles[0][1])
        channel, (factor, unit) = titles[2][0], to_si(titles[2][1])
        if lateral_unit == "m":
            shape = (grid.values.shape[0], grid.values.shape[1])
            frame = (grid.row_step * lateral * shape[0], grid.column_step * lateral * shape[1])
            size = pixel_size_nm(*frame, shape)
    doubts = () if len(titles) == 3 else ("its header states no units of X, Y and Z",)
    return Trace(channel, "forward", unit, size, lambda: grid.values * factor, doubts=doubts)


def traces(path: Path) -> list[Trace]:
    """List the one image of a binary file.

    The values of the file are scaled so that their range is the header's Z Amplitude.
    """
    content = path.read_bytes()
    start = decode_text(content[:200])
    size = re.search(r"Image header size:\s*(\d{1,7})", start)
    if not start.startswith(START) or "SxM Image file" not in start or size is None:
        raise Unreadable("not a WSxM image")
    header = int(size[1])
    if not 0 < header <= min(len(content), MOST_HEADER):
        raise Unreadable("truncated or damaged: its header is longer than the file")
    entries = _entries(decode_text(content[:header]).splitlines())
    height, width = (int(entries[f"number of {axis}"]) for axis in ("rows", "columns"))
    kind = entries.get("image data type", "short").lower()
    if kind not in TYPES:
        raise Unreadable(f"holds values of type {kind!r}, expected {', '.join(TYPES)}")
    dtype = np.dtype(TYPES[kind])
    check_size(height, width, (len(content) - header) // dtype.itemsize)
    stored = stored_values(len(content), dtype, header)
    amplitude = re.match(r"([-+\d.,eE]+)\s*(.*)", entries.get("z amplitude", ""))
    factor, unit = to_si(amplitude[2]) if amplitude else (1.0, "")
    wanted = abs(number(amplitude[1])) * factor if amplitude else 0.0

    def decode() -> NDArray[np.float64]:
        picture = stored_image(content, dtype, header, (height, width))[::-1, ::-1]
        extent = float(np.nanmax(picture) - np.nanmin(picture)) if stored else 0.0
        return picture * (wanted / extent if extent and wanted else factor)

    name = entries.get("acquisition channel") or path.suffix[1:]
    channel, direction = split_direction(name)
    if "x scanning direction" in entries:
        direction = split_direction(entries["x scanning direction"]).direction
    doubts = early_end(stored, (height, width))
    if not amplitude:
        doubts += ("its header states no Z Amplitude: the values have no scale",)
    return [
        Trace(
            channel,
            direction,
            unit,
            pixel_size_nm(*_frame(entries), (height, width)),
            decode,
            metadata={
                **amount_of("bias", entries.get("topography bias", "")),
                **amount_of("setpoint", entries.get("set point", "")),
                **amount_of("angle", entries.get("rotation", "")),
                **texts(
                    date=iso_date(entries.get("acquisition time")),
                    instrument=entries.get("head type"),
                    comment=entries.get("comments"),
                ),
            },
            doubts=doubts,
        )
    ]


def _entries(lines: list[str]) -> dict[str, str]:
    """Return the header's lines "Label: value" by their label in lower case."""
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {key.strip().lower(): value.strip() for key, value in pairs}


def _frame(entries: dict[str, str]) -> tuple[float, float]:
    """Return height and width, m; NaN if they are not stated as lengths."""
    height, width = (length_nm(entries.get(f"{axis} amplitude", "")) for axis in "yx")
    return height / 1e9, width / 1e9
