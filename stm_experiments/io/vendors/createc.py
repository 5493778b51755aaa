"""Createc images (.dat): a text header, then one block of float32 values of all channels.

The meaning of the fields is that in ProbeFlow's and Gwyddion's readers and in real files; Createc
publishes no description. Lengths in the header are in Angstrom, piezo constants in Angstrom per
volt.
"""

import re
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.metadata import iso_date, quantity, texts
from stm_experiments.io.trace import (
    NoImage,
    Trace,
    Unreadable,
    check_size,
    decode_text,
    early_end,
    pixel_size_nm,
    stored_image,
    stored_values,
)

MAGICS = {b"[Paramco32]": "compressed", b"[Paramet32]": "float32", b"[Parameter]": "int16"}
HEADER = 16384  # bytes of the header of files without compression
VOLTS = 20.0  # range of the converter
CHANNELS = {0: "Z", 1: "Current"}  # by the bits of Channelselectval; others are auxiliary
MOST_CHANNELS = 32
STAMP = re.compile(r"[A-Z](\d{6}\.\d{6})\b")  # date and time in the name of a file


def traces(path: Path) -> list[Trace]:
    """List the images of a Createc file: first all forward, then all backward channels.

    Rows that an unfinished scan lacks are 0 in the file. Backward lines are stored unmirrored. One
    value before the first pixel belongs to no image.
    """
    content = path.read_bytes()
    kind = MAGICS.get(content[:11])
    if kind is None:
        raise NoImage("not a Createc image (a spectrum of Createc or Nanonis has the same ending)")
    entries = _entries(content[:HEADER].split(b"DATA")[0])
    height, width = (int(float(entries[f"num.{axis}"])) for axis in "yx")
    check_size(height, width, len(content) * 1032)
    count = int(float(entries.get("channels", "1")))
    if not 0 < count <= MOST_CHANNELS:
        raise Unreadable(f"damaged: its header says {count} channels")
    values, dtype = _values(content, kind, 1 + count * height * width)
    size = height * width * dtype.itemsize
    frame = [float(entries.get(f"length {axis}[a]", "nan")) * 1e-10 for axis in "yx"]
    pixel = pixel_size_nm(frame[0], frame[1], (height, width))
    metadata = {
        **quantity("bias", entries.get("biasvoltage"), "mV"),
        **quantity("setpoint", entries.get("fblogiset"), "pA"),
        **quantity("angle", entries.get("rotation"), "deg"),
        **texts(
            date=iso_date(stamp[1]) if (stamp := STAMP.match(path.name)) else None,
            instrument="Createc",
            comment=entries.get("titel(file)", entries.get("titel", "")),
        ),
    }

    def decode(number: int, factor: float) -> NDArray[np.float64]:
        data = stored_image(values, dtype, dtype.itemsize + number * size, (height, width))
        data[~data.any(axis=1)] = np.nan
        return data * factor

    signals = _signals(entries, count)
    traces = []
    for number in range(count):
        channel, unit, factor = _meaning(signals[number % len(signals)], entries)
        direction = "backward" if number >= len(signals) else "forward"
        stored = stored_values(len(values), dtype, dtype.itemsize + number * size)
        traces.append(
            Trace(
                channel,
                direction,
                unit,
                pixel,
                partial(decode, number, factor),
                metadata=metadata,
                doubts=early_end(stored, (height, width)),
            )
        )
    return traces


def _entries(header: bytes) -> dict[str, str]:
    """Return the header's "Key / Key=value" lines by the first name of their key, in lower case."""
    entries: dict[str, str] = {}
    for line in decode_text(header).splitlines():
        key, equals, value = line.partition("=")
        if equals:
            entries.setdefault(key.split(" / ")[0].strip().lower(), value.strip())
    for key in ("num.x", "num.y"):
        if key not in entries:
            raise Unreadable(f"damaged: its header has no {key}")
    return entries


def _values(content: bytes, kind: str, count: int) -> tuple[bytes, np.dtype[Any]]:
    """Return the bytes of at most so many values of the block of data, and their type."""
    dtype = np.dtype("<i2" if kind == "int16" else "<f4")
    if kind != "compressed":
        return content[HEADER : HEADER + dtype.itemsize * count], dtype
    start = content.find(b"DATA") + 4
    if start < 4:
        raise Unreadable("damaged: no data behind its header")
    return zlib.decompressobj().decompress(content[start:], dtype.itemsize * count), dtype


def _signals(entries: Mapping[str, str], count: int) -> list[int]:
    """Return the signals of the forward images; as many backward ones may follow."""
    chosen = int(float(entries.get("channelselectval", "3")))
    bits = [bit for bit in range(MOST_CHANNELS) if chosen >> bit & 1]
    return bits if count in (len(bits), 2 * len(bits)) else list(range(count))


def _meaning(bit: int, entries: Mapping[str, str]) -> tuple[str, str, float]:
    """Return name, unit and factor of a signal."""
    digits = "".join(c for c in entries.get("dac-type", "16") if c.isdecimal()) or "16"
    volts = VOLTS / 2 ** min(int(digits), 64)  # of one count
    if bit == 0:
        gain = float(entries.get("gainz", "10")) * float(entries.get("zpiezoconst", "nan"))
        return "Z", "m", volts * gain * 1e-10
    if bit == 1:
        return "Current", "A", volts / 10 ** float(entries.get("gainpreamp", "9"))
    return f"Channel {bit}", "V", volts
