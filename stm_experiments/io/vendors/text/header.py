"""Headers of text files: Gwyddion's in any language, and SPIP's."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.metadata import NOTHING, Metadata, iso_date, quantity, texts
from stm_experiments.io.trace import Unreadable
from stm_experiments.io.units import length_nm, number, to_si

PAIR = re.compile(r"[#%;/\s]*([^:=\uff1a]+?)\s*[:=\uff1a]\s*(.*?)\s*")  # U+FF1A: a wide colon


class Header(NamedTuple):
    """What a header says.

    Attributes:
        channel: With words for the direction; "": not stated.
        unit: SI, of the values times ``factor``.
        factor: From the numbers of the file to ``unit``.
        frame: Height and width, m; None: not stated.
        shape: Rows and columns, px; None: those of the lines.
        lateral_unit: Of points x, y; "": not points.
        is_down: Whether the y of points grows downwards; None: not known.
        metadata: As in ``Scan``.
        doubts: As in ``Trace``.
    """

    channel: str = ""
    unit: str = ""
    factor: float = 1.0
    frame: tuple[float, float] | None = None
    shape: tuple[int, int] | None = None
    lateral_unit: str = ""
    is_down: bool | None = None
    metadata: Metadata = NOTHING
    doubts: tuple[str, ...] = ()

    def shaped(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return numbers in the shape that the header states.

        Raises:
            Unreadable: If they are too few: the last one may be cut, too.
        """
        if self.shape is None or self.shape == numbers.shape:
            return numbers
        if min(self.shape) < 1 or numbers.size < math.prod(self.shape):
            raise Unreadable(
                f"truncated: {numbers.size // max(self.shape[1], 1)} of {self.shape[0]} lines of "
                f"{self.shape[1]} numbers are there"
            )
        return numbers.ravel()[: math.prod(self.shape)].reshape(self.shape)


NO_HEADER = Header()


def read_header(lines: list[str]) -> Header:
    """Read a header; what it does not know of, it leaves out."""
    pairs = [match.groups() for line in lines if (match := PAIR.fullmatch(line))]
    entries = {key.lower(): value for key, value in pairs}
    if "x-length" in entries or "bit2nm" in entries:
        return _spip(entries)
    return _gwyddion(entries) or _gwyddion(_translated(pairs)) or Header()


def _gwyddion(entries: Mapping[str, str]) -> Header | None:
    """Read the header of Gwyddion's matrices and points."""
    if not {"channel", "value units", "width"} & set(entries):
        return None
    factor, unit = to_si(entries.get("value units", ""))
    frame = [length_nm(entries.get(key, "")) / 1e9 for key in ("height", "width")]
    return Header(
        channel=entries.get("channel", ""),
        unit=unit,
        factor=factor,
        frame=None if any(map(math.isnan, frame)) else (frame[0], frame[1]),
        lateral_unit=entries.get("lateral units", ""),
        is_down=True if "lateral units" in entries else None,
    )


def _translated(pairs: list[tuple[str, ...]]) -> dict[str, str]:
    """Return Gwyddion's entries of a header in another language, known by their order and units."""
    values = [value for _, value in pairs]
    if len(values) == 4 and not any(math.isnan(length_nm(value)) for value in values[1:3]):
        return dict(zip(("channel", "width", "height", "value units"), values, strict=True))
    if len(values) == 3 and to_si(values[1])[1] == "m":
        return dict(zip(("channel", "lateral units", "value units"), values, strict=True))
    return {}


def _spip(entries: Mapping[str, str]) -> Header:
    """Read the header of SPIP and MountainsMap: lengths in nm, values in z-unit or times Bit2nm."""
    factor, unit, doubts = 1.0, "", []
    if "z-unit" in entries:
        factor, unit = to_si(entries["z-unit"])
        if number(entries.get("bit2nm", "1")) != 1:
            doubts.append("its header states z-unit and Bit2nm: the values were taken in z-unit")
    elif "bit2nm" in entries:
        factor, unit = number(entries["bit2nm"]) * 1e-9, "m"
    frame = None
    if {"x-length", "y-length"} <= set(entries):
        frame = (number(entries["y-length"]) * 1e-9, number(entries["x-length"]) * 1e-9)
    shape = None
    if {"x-pixels", "y-pixels"} <= set(entries):
        shape = (int(entries["y-pixels"]), int(entries["x-pixels"]))
    if entries.get("voidpixels", "0") not in ("", "0"):
        doubts.append("pixels that its header calls void were read as measured")
    return Header(
        channel=entries.get("channel", entries.get("image type", "")),
        unit=unit,
        factor=factor,
        frame=frame,
        shape=shape,
        metadata={
            **quantity("bias", entries.get("bias"), "V"),
            **quantity("setpoint", entries.get("current"), "nA"),
            **texts(date=iso_date(entries.get("starttime")), comment=entries.get("comment")),
        },
        doubts=tuple(doubts),
    )
