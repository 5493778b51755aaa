r"""Nanoscope files of Bruker, Veeco and Digital Instruments (.spm, .000 and so on).

Sections of a text header begin with ``\*``; integers of each image lie where its section says. The
first row is the lowest. Values are counts times the range in volts over 2^16 (2^32 for four bytes),
times the sensitivity that the scale names.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.directions import split_direction
from stm_experiments.io.metadata import Metadata, iso_date, quantity, texts
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
from stm_experiments.io.units import length_nm, to_si

MAGIC, FORCE = b"\\*File list", b"\\*Force file list"
STARTS = (MAGIC, FORCE)
LONGEST_HEADER = 2**20  # bytes
IMAGES = ("ciao image list", "afm image list", "stm image list", "ncafm image list")
SCALE = re.compile(r"(?:V|C) *(?:\[([^\]]*)\])? *(?:\([^)]*\))? *([-+\d.eE]+) *([^\s\d]*)")
TYPES = {1: "i1", 2: "<i2", 4: "<i4"}

Section = Mapping[str, str]


def traces(path: Path) -> list[Trace]:
    """List the images of a Nanoscope file."""
    content = path.read_bytes()
    if content.startswith(FORCE):
        raise NoImage("a force curve of Nanoscope, no image")
    if not content.startswith(MAGIC):
        raise NoImage("not a Nanoscope image")
    sections = _sections(decode_text(content[:LONGEST_HEADER].split(b"\x1a")[0]))
    shared: dict[str, str] = {}
    for name, section in sections:
        if name not in IMAGES:
            shared |= {key: value for key, value in section.items() if key not in shared}
    metadata = _metadata(shared)
    found = (_trace(content, section, shared) for name, section in sections if name in IMAGES)
    return [trace._replace(metadata=metadata) for trace in found]


def _sections(header: str) -> list[tuple[str, dict[str, str]]]:
    r"""Return the sections of a header: their names and their lines ``\Key: value``."""
    sections: list[tuple[str, dict[str, str]]] = []
    for line in header.splitlines():
        text = line.lstrip("\\").strip()
        if text.startswith("*File list end"):
            break
        if text.startswith("*"):
            sections.append((text[1:].lower(), {}))
        elif sections and line.startswith("\\"):
            # "@2:Z scale: V ..." has a colon in its key.
            match = re.match(r"(@?(?:\d:)?[^:]*):\s*(.*)", text)
            if match:
                sections[-1][1].setdefault(match[1].lower(), match[2].strip())
    return sections


def _trace(content: bytes, section: Section, shared: Section) -> Trace:
    width, height = (int(section[key]) for key in ("samps/line", "number of lines"))
    offset, length = (int(section[key]) for key in ("data offset", "data length"))
    check_size(height, width, len(content))
    itemsize = length // (height * width)  # later versions state 2 and store 4
    if itemsize not in TYPES or offset < 0:
        raise Unreadable(f"damaged: {length} bytes for {width} x {height} px")
    dtype = np.dtype(TYPES[itemsize])
    factor, unit, doubts = _scale(section, shared, 256**itemsize)

    def decode() -> NDArray[np.float64]:
        return stored_image(content, dtype, offset, (height, width))[::-1] * factor

    title = section.get("@2:image data", section.get("image data", ""))
    quoted = re.search(r'"([^"]*)"', title)
    channel, direction = split_direction(quoted[1] if quoted else title)
    if "line direction" in section:
        direction = split_direction(section["line direction"]).direction
    return Trace(
        channel or "image",
        direction,
        unit,
        pixel_size_nm(*_frame(section, shared), (height, width)),
        partial(decode),
        doubts=doubts + early_end(stored_values(len(content), dtype, offset), (height, width)),
    )


def _frame(section: Section, shared: Section) -> tuple[float, float]:
    """Return height and width, m: "Scan size: 500 250 nm", or one number for both."""
    text = section.get("scan size", shared.get("scan size", "")).replace("~", "u")
    *numbers, unit = text.split() or [""]
    sides = [length_nm(f"{number} {unit}") / 1e9 for number in numbers[:2]] or [float("nan")]
    return sides[-1], sides[0]


def _scale(section: Section, shared: Section, counts: int) -> tuple[float, str, tuple[str, ...]]:
    """Return the factor of a count, the SI unit, and what was not understood."""
    match = SCALE.match(section.get("@2:z scale", ""))
    if match is None:
        old = re.match(r"([-+\d.eE]+) *([^\s(]*)", section.get("z scale", ""))
        if old is None:
            return 1.0, "", ("its header states no Z scale: the values are counts",)
        factor, unit = to_si(old[2].replace("~", "u"))
        return float(old[1]) * factor / counts, unit, ()
    factor, unit = to_si(match[3])
    factor *= float(match[2]) / counts
    if not match[1]:
        return factor, unit, ()
    sensitivity = SCALE.match(shared.get(f"@{match[1].lower()}", ""))
    if sensitivity is None:
        return factor, unit, (f"its header has no {match[1]}: the values are in {unit or 'V'}",)
    per, si = to_si(sensitivity[3].partition("/")[0])
    return factor * float(sensitivity[2]) * per, si, ()


def _metadata(shared: Section) -> Metadata:
    entries: dict[str, Any] = {}
    for name in ("bias", "setpoint"):
        match = SCALE.match(shared.get(f"@{name}", f"V {shared.get(name, '')}"))
        entries |= quantity(name, match[2], match[3]) if match else {}
    return {
        **entries,
        **quantity("angle", shared.get("rotate ang.", "").split(" ")[0], "deg"),
        **texts(
            date=iso_date(shared.get("date")),
            instrument=" ".join(filter(None, ("Nanoscope", shared.get("microscope")))),
            comment=shared.get("note"),
        ),
    }
