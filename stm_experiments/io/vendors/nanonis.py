"""Nanonis scan files (.sxm): a text header, then 32-bit floats in the order of acquisition."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.metadata import Metadata, amount_of, iso_date, quantity, texts
from stm_experiments.io.trace import (
    Trace,
    Unreadable,
    check_size,
    early_end,
    library,
    pixel_size_nm,
    stored_image,
    stored_values,
)
from stm_experiments.io.units import to_si


class _Channel(NamedTuple):
    """A channel of the header's table."""

    name: str
    unit: str
    directions: tuple[str, ...]


DIRECTIONS = {
    "both": ("forward", "backward"),
    "forward": ("forward",),
    "backward": ("backward",),
}
TYPES = {"FLOAT": "f4", "DOUBLE": "f8"}
ORDERS = {"MSBFIRST": ">", "LSBFIRST": "<"}


def traces(path: Path) -> list[Trace]:
    """List the images of a Nanonis file.

    nanonispy2 reads the header only, for it refuses unfinished files and channels that were
    recorded in one direction. Lines lie in the order of acquisition: from the bottom up if SCAN_DIR
    is up, backward lines from right to left.
    """
    nanonis = library("nanonispy2.read", "reading .sxm files needs nanonispy2")

    class Header(nanonis.NanonisFile):  # type: ignore[name-defined, misc]
        def _determine_filetype(self) -> str:
            return "scan"  # whatever the case of the file's suffix

    header = Header(str(path))
    entries = _entries(header.header_raw)
    content = path.read_bytes()
    start = content.find(b"\x1a\x04", header.byte_offset) + 2
    if start < 2:
        raise Unreadable("damaged: no data behind its header")
    width, height = (int(n) for n in " ".join(entries["SCAN_PIXELS"]).split())
    check_size(height, width, len(content))
    range_x, range_y = (float(x) for x in " ".join(entries["SCAN_RANGE"]).split())
    upward = "up" in " ".join(entries["SCAN_DIR"]).lower()
    kind, _, order = " ".join(" ".join(entries["SCANIT_TYPE"]).upper().split()).partition(" ")
    if kind not in TYPES or order not in ORDERS:
        raise Unreadable(f"holds {kind} {order} values, expected FLOAT MSBFIRST")
    dtype = np.dtype(ORDERS[order] + TYPES[kind])

    size = height * width * dtype.itemsize

    def decode(number: int, direction: str, factor: float) -> NDArray[np.float64]:
        data = stored_image(content, dtype, start + number * size, (height, width))
        rows, columns = -1 if upward else 1, -1 if direction == "backward" else 1
        return data[::rows, ::columns] * factor

    pixel = pixel_size_nm(range_y, range_x, (height, width))
    metadata = _metadata(entries)
    traces: list[Trace] = []
    for channel in _channels(entries["DATA_INFO"]):
        factor, si = to_si(channel.unit)
        for direction in channel.directions:
            number = len(traces)
            values = stored_values(len(content), dtype, start + number * size)
            traces.append(
                Trace(
                    channel.name,
                    direction,
                    si,
                    pixel,
                    partial(decode, number, direction, factor),
                    metadata=metadata,
                    doubts=early_end(values, (height, width)),
                )
            )
    return traces


def _entries(header: str) -> dict[str, list[str]]:
    """Return the header's lines by their ``:KEY:``."""
    entries: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in header.splitlines():
        if line.startswith(":") and line.rstrip().endswith(":"):
            lines = entries.setdefault(line.strip().strip(":"), [])
        else:
            lines.append(line)
    for key in ("SCAN_PIXELS", "SCAN_RANGE", "SCAN_DIR", "SCANIT_TYPE", "DATA_INFO"):
        if key not in entries:
            raise Unreadable(f"damaged: its header has no {key}")
    return entries


def _metadata(entries: dict[str, list[str]]) -> Metadata:
    """Return what the header says of the measurement."""

    def text(key: str) -> str:
        return " ".join(" ".join(entries.get(key, [])).split())

    controller = [
        line.strip().split("\t") for line in entries.get("Z-CONTROLLER", []) if line.strip()
    ]
    cells = dict(zip(controller[0], controller[1], strict=False)) if len(controller) > 1 else {}
    return {
        **quantity("bias", text("BIAS"), "V"),
        **amount_of("setpoint", cells.get("Setpoint", "")),
        **quantity("angle", text("SCAN_ANGLE"), "deg"),
        **texts(
            date=iso_date(f"{text('REC_DATE')} {text('REC_TIME')}"),
            instrument="Nanonis",
            comment=text("COMMENT"),
        ),
    }


def _channels(table: list[str]) -> list[_Channel]:
    """Return the channels in the order of the data."""
    rows = [[cell.strip() for cell in line.strip().split("\t")] for line in table if line.strip()]
    names = [cell.lower() for cell in rows[0]] if rows else []
    if not {"name", "unit", "direction"} <= set(names):
        raise Unreadable("damaged: its header has no table of channels")
    channels = []
    for row in rows[1:]:
        cells = dict(zip(names, row, strict=False))
        directions = DIRECTIONS.get(cells.get("direction", "").lower())
        if directions is None:
            raise Unreadable("damaged: the directions of a channel are unknown")
        channels.append(_Channel(cells["name"], cells["unit"], directions))
    return channels
