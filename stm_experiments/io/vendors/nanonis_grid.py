"""Nanonis grids (.3ds): a text header, then big-endian float32: parameters and curves per pixel."""

import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.directions import split_direction
from stm_experiments.io.metadata import Metadata, iso_date, quantity, texts
from stm_experiments.io.trace import (
    Trace,
    Unreadable,
    check_size,
    decode_text,
    early_end,
    pixel_size_nm,
)
from stm_experiments.io.units import number, to_si

END = b":HEADER_END:"
LONGEST_HEADER = 2**20  # bytes
MOST_TRACES = 2**16


class _Grid(NamedTuple):
    """The numbers of a grid.

    Attributes:
        values: Parameters, then the curve of each channel, of the pixels that were measured
            [pixels, numbers]; the lowest row first.
        shape: (H, W), px.
        size: nm per px along axes 0 and 1, or None.
        metadata: As in ``Scan``.
    """

    values: NDArray[np.float32]
    shape: tuple[int, int]
    size: tuple[float, float] | None
    metadata: Metadata

    def trace(self, title: str, column: int, suffix: str = "") -> Trace:
        """Return the image of one of the numbers; its title is like "Current [bwd] (A)"."""
        match = re.fullmatch(r"\s*(.*?)\s*(?:\(([^()]*)\))?\s*", title)
        assert match is not None  # it matches any text of one line
        channel, direction = split_direction(match[1])
        factor, unit = to_si(match[2] or "")
        read = partial(self._image, column, factor)
        return Trace(
            channel + suffix,
            direction,
            unit,
            self.size,
            read,
            metadata=self.metadata,
            doubts=early_end(len(self.values), self.shape),
        )

    def _image(self, column: int, factor: float) -> NDArray[np.float64]:
        data = np.full(self.shape[0] * self.shape[1], np.nan)
        data[: len(self.values)] = self.values[:, column]
        return data.reshape(self.shape)[::-1] * factor


def traces(path: Path) -> list[Trace]:
    """List the images of a grid: Z, then each channel at each point of its curve."""
    content = path.read_bytes()
    end = content.find(END, 0, LONGEST_HEADER)
    if end < 0:
        raise Unreadable("not a Nanonis grid, or truncated: its header has no end")
    pairs = (line.partition("=") for line in decode_text(content[:end]).splitlines())
    entries = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
    sides = re.findall(r"\d{1,9}", entries.get("Grid dim", ""))
    if len(sides) != 2:
        raise Unreadable("damaged: its header has no Grid dim")
    width, height = map(int, sides)
    parameters = [
        name
        for key in ("Fixed parameters", "Experiment parameters")
        for name in entries.get(key, "").split(";")
        if name
    ]
    channels = [name for name in entries.get("Channels", "").split(";") if name]
    points = int(entries.get("Points", "0"))
    numbers = int(entries.get("# Parameters (4 byte)", len(parameters))) + len(channels) * points
    start = content.index(b"\n", end) + 1 if b"\n" in content[end : end + 20] else end + len(END)
    check_size(height, width, (len(content) - start) // 4)
    if not 0 < numbers <= MOST_TRACES:
        raise Unreadable(f"damaged: its header says {numbers} numbers for each pixel")
    grid = _grid(content, start, entries, (height, width), numbers)
    first = numbers - len(channels) * points
    traces = [
        grid.trace(name, column)
        for column, name in enumerate(parameters[:first])
        if name.startswith("Z ") and "offset" not in name.lower()
    ]
    sweep = _sweep(grid, parameters[:first], entries.get("Sweep Signal", ""), points)
    for i, channel in enumerate(channels):
        for point in range(points):
            column = first + i * points + point
            traces.append(grid.trace(channel, column, f" at {sweep[point]}"))
    return traces


def _grid(
    content: bytes, start: int, entries: dict[str, str], shape: tuple[int, int], numbers: int
) -> _Grid:
    pixels = min((len(content) - start) // (4 * numbers), shape[0] * shape[1])
    if pixels < 1:
        raise Unreadable("truncated: no pixel is there")
    values = np.frombuffer(content, ">f4", pixels * numbers, start).reshape(pixels, numbers)
    settings = [number(text) for text in entries.get("Grid settings", "").split(";") if text]
    size, angle = None, None
    if len(settings) >= 5:
        size, angle = pixel_size_nm(settings[3], settings[2], shape), settings[4]
    metadata = {
        **quantity("angle", angle, "deg"),
        **quantity("bias", entries.get("Bias>Bias (V)"), "V"),
        **quantity("setpoint", entries.get("Z-Controller>Setpoint"), "A"),
        **texts(
            date=iso_date(entries.get("Start time", entries.get("Date"))),
            instrument="Nanonis",
            comment=entries.get("Comment"),
        ),
    }
    return _Grid(values, shape, size, metadata)


def _sweep(grid: _Grid, parameters: list[str], signal: str, points: int) -> list[str]:
    """Return the place of each point of a curve as text: "-0.5 V", or its number."""
    ends = [name.lower() for name in parameters[:2]]
    unit = re.search(r"\(([^()]*)\)", signal)
    first = grid.values[0, :2].astype(np.float64)
    if ends != ["sweep start", "sweep end"] or not np.isfinite(first).all():
        return [f"point {point}" for point in range(points)]
    places = np.linspace(first[0], first[1], points)
    return [f"{place:.6g} {unit[1] if unit else ''}".strip() for place in places]
