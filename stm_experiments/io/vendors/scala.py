"""Omicron SCALA: a text file (.par) that describes channels, each in a file of its own.

Data files hold big-endian 16-bit counts, the lowest row first, backward rows as acquired.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stm_experiments.core.files import SCAN_BYTES, read_bytes
from stm_experiments.io.directions import split_direction
from stm_experiments.io.metadata import iso_date, quantity, texts
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
from stm_experiments.io.units import to_si

MAGIC = "Omicron SPM Control"
COUNT = np.dtype(">i2")
MOST_PARAMETERS = 2**22  # bytes of the text file
FIELDS = ("direction", "low", "high", "least", "most", "step", "unit", "file", "name")


def traces(path: Path) -> list[Trace]:
    """List the topographic channels of a SCALA parameter file."""
    lines = decode_text(read_bytes(path, MOST_PARAMETERS)).splitlines()
    if not any(MAGIC in line for line in lines[:20]):
        raise Unreadable("not a parameter file of Omicron's SCALA")
    entries: dict[str, str] = {}
    channels: list[dict[str, str]] = []
    rows = iter(lines)
    for line in rows:
        key, colon, value = line.split(";")[0].partition(":")
        if key.strip() == "Topographic Channel":
            channels.append(_channel(value, rows))
        elif colon and not line.startswith(" "):
            entries.setdefault(key.strip(), value.strip())
    height, width = (abs(int(entries.get(f"Image Size in {axis}", "0"))) for axis in "YX")
    check_size(height, width, 2**24)
    frame = [float(entries.get(f"Field {axis} Size in nm", "nan")) * 1e-9 for axis in "YX"]
    size = pixel_size_nm(frame[0], frame[1], (height, width))
    metadata = {
        **quantity("bias", entries.get("Gap Voltage"), "V"),
        **quantity("setpoint", entries.get("Feedback Set"), "nA"),
        **quantity("angle", entries.get("Scan Angle"), "deg"),
        **texts(
            date=iso_date(entries.get("Date")),
            instrument="Omicron SCALA",
            comment=entries.get("Comment"),
        ),
    }
    found = [_trace(path, each, (height, width)) for each in channels]
    return [trace._replace(pixel_size=size, metadata=metadata) for trace in found]


def _channel(kind: str, rows: Iterator[str]) -> dict[str, str]:
    """Read the lines below the title of a channel; the last, its name, may be missing."""
    values = [kind.strip()]
    for row in rows:
        text = row.split(";")[0].strip()
        if not text or len(values) > len(FIELDS):
            break
        values.append(text)
    if len(values) < len(FIELDS):
        raise Unreadable("truncated or damaged: a channel lacks its description")
    return dict(zip(("kind", *FIELDS), values, strict=False))


def _trace(path: Path, channel: dict[str, str], shape: tuple[int, int]) -> Trace:
    low, high, least, most = (float(channel[key]) for key in ("low", "high", "least", "most"))
    if low == high:
        raise Unreadable("damaged: a channel without a range")
    factor, unit = to_si(channel["unit"])
    direction = split_direction(channel["direction"]).direction
    data = _data_file(path, channel["file"])
    scale = (most - least) / (high - low)

    def decode() -> NDArray[np.float64]:
        content = read_bytes(data, SCAN_BYTES)
        columns = -1 if direction == "backward" else 1
        picture = stored_image(content, COUNT, 0, shape)[::-1, ::columns]
        return (least + (picture - low) * scale) * factor

    name = channel["kind"] or channel.get("name", "")
    doubts = early_end(stored_values(data.stat().st_size, COUNT, 0), shape)
    return Trace(name, direction, unit, None, partial(decode), doubts=doubts)


def _data_file(path: Path, name: str) -> Path:
    """Return the data file beside the parameter file, in whatever case its name is."""
    if Path(name).name != name or name in ("", ".", ".."):
        raise Unreadable(f"names a data file in another folder ({name})")
    for candidate in (name, name.lower(), name.upper()):
        if path.with_name(candidate).is_file():
            return path.with_name(candidate)
    raise Unreadable(f"its data file {name} is not in its folder")
