"""Gwyddion Simple Field (.gsf): lines ``Key = value``, zeros, and float32 from the top left."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.directions import split_direction
from stm_experiments.io.metadata import read_texts
from stm_experiments.io.trace import (
    Picture,
    Trace,
    Unreadable,
    check_size,
    decode_text,
    early_end,
    pixel_size_nm,
    stored_image,
    stored_values,
)
from stm_experiments.io.units import to_si

MAGIC = b"Gwyddion Simple Field 1.0\n"
FLOAT = np.dtype("<f4")
LONGEST_HEADER = 2**20  # bytes


def traces(path: Path) -> list[Trace]:
    """List the one image of a Simple Field."""
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise Unreadable("not a Gwyddion Simple Field")
    end = content.find(b"\0", 0, LONGEST_HEADER)
    if end < 0:
        raise Unreadable("truncated: its header has no end")
    pairs = (line.partition("=") for line in decode_text(content[len(MAGIC) : end]).splitlines())
    entries = {key.strip(): value.strip() for key, _, value in pairs}
    height, width = (int(entries.get(f"{axis}Res", "0")) for axis in "YX")
    start = end + 4 - end % 4
    check_size(height, width, (len(content) - start) // 4)
    xy_factor, xy_unit = to_si(entries.get("XYUnits", ""))
    size = None
    if xy_unit == "m":
        frame = [float(entries.get(f"{axis}Real", "nan")) * xy_factor for axis in "YX"]
        size = pixel_size_nm(frame[0], frame[1], (height, width))
    factor, unit = to_si(entries.get("ZUnits", ""))
    channel, direction = split_direction(entries.get("Title", "image"))

    def decode() -> NDArray[np.float64]:
        return stored_image(content, FLOAT, start, (height, width)) * factor

    history = tuple(line for line in entries.get("History", "").split(" | ") if line)
    doubts = early_end(stored_values(len(content), FLOAT, start), (height, width))
    return [Trace(channel, direction, unit, size, decode, history, read_texts(entries), doubts)]


def write_gsf(file: BinaryIO, picture: Picture, texts: dict[str, str]) -> None:
    """Write a Simple Field.

    Args:
        file: Open for writing.
        picture: Its values become float32, NaN where nothing was measured.
        texts: Further lines of the header.
    """
    data, mask, unit, pixel_size = picture
    height, width = data.shape
    entries = {"XRes": str(width), "YRes": str(height), "ZUnits": unit}
    if pixel_size is not None:
        entries |= {
            "XReal": repr(width * pixel_size[1] / 1e9),
            "YReal": repr(height * pixel_size[0] / 1e9),
            "XYUnits": "m",
        }
    lines = [f"{key} = {' '.join(value.split())}" for key, value in (entries | texts).items()]
    header = MAGIC + ("\n".join(lines) + "\n").encode("utf-8", "replace").replace(b"\0", b" ")
    file.write(header + b"\0" * (4 - len(header) % 4))
    file.write(np.where(mask, data, np.nan).astype("<f4").tobytes())
