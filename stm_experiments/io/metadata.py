"""What a file says of its measurement: one dictionary of plain data, with units in its keys.

Keys: ``size_nm`` (height and width of the frame), ``bias_V``, ``setpoint_A`` (or the setpoint's own
SI unit), ``angle_deg``, ``date`` (ISO 8601 where the file's form is known), ``instrument``,
``comment``. What a file does not say has no key.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stm_experiments.core.texts import shortened
from stm_experiments.core.units import amount
from stm_experiments.io.units import number, to_si

Metadata = Mapping[str, Any]  # text, numbers, and pairs of numbers
NOTHING: Metadata = MappingProxyType({})
TEXTS = ("date", "instrument", "comment")
NUMBERS = ("bias_", "setpoint_", "angle_")  # starts of keys
LONGEST = 10_000  # characters of a text that is kept
TOLD = 200  # characters of a text that is told
DATES = (  # as programs of microscopes write them
    "%d.%m.%Y %H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%I:%M:%S %p %a %b %d %Y",
    "%a %b %d %H:%M:%S %Y",
    "%m/%d/%y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%y%m%d.%H%M%S",
)


def quantity(name: str, value: str | float | None, unit: str) -> Metadata:
    """Return a quantity in SI: ``quantity("bias", "-550", "mV")`` is ``{"bias_V": -0.55}``.

    Args:
        name: Without its unit.
        value: A number or its text.
        unit: As the file has it.

    Returns:
        Nothing if the value is no finite number.
    """
    try:
        plain = number(str(value))
    except ValueError:
        return {}
    factor, si = to_si(unit)
    return {f"{name}_{si}" if si else name: plain * factor} if math.isfinite(plain) else {}


def amount_of(name: str, text: str) -> Metadata:
    """Return a quantity of a text with its unit: ``"1.570E-10 A"``."""
    value, _, unit = text.strip().partition(" ")
    return quantity(name, value, unit)


def texts(**entries: str | None) -> Metadata:
    """Return the texts that hold anything, shortened to a bearable length."""
    stripped = {key: shortened((text or "").strip(), LONGEST) for key, text in entries.items()}
    return {key: text for key, text in stripped.items() if text}


def iso_date(text: str | None) -> str | None:
    """Return a date in ISO 8601; the text itself if its form is not known."""
    for form in DATES:
        try:
            return datetime.strptime((text or "").strip(), form).isoformat()
        except ValueError:
            continue
    return text


def write_texts(metadata: Metadata) -> dict[str, str]:
    """Return metadata as texts, for formats that keep texts alone; ``read_texts`` reads them."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in metadata.items()
        if key != "size_nm"
    }


def read_texts(entries: Mapping[str, str]) -> dict[str, Any]:
    """Return what ``write_texts`` wrote, out of the texts of a file."""
    found: dict[str, Any] = {}
    for key, text in entries.items():
        if key in TEXTS:
            found[key] = text
        elif key.startswith(NUMBERS):
            found |= quantity(key, text, "")
    return found


def describe_image(
    data: NDArray[Any],
    mask: NDArray[np.bool_],
    unit: str,
    pixel_size: tuple[float, float] | None,
) -> list[str]:
    """Return size, range and measured share: ["512 x 256 px", "4 x 2 nm", "-1.2 nm to 3.4 nm"].

    Args:
        data: [H, W] in ``unit``.
        mask: [H, W], True where measured.
        unit: Of the data, SI.
        pixel_size: nm per px along axes 0 and 1; None: unknown.
    """
    height, width = data.shape
    parts = [f"{width} x {height} px"]
    if pixel_size is not None:
        parts.append(f"{width * pixel_size[1]:.4g} x {height * pixel_size[0]:.4g} nm")
    measured = data[mask]
    if not measured.size:
        return [*parts, "nothing measured"]
    ends = (float(measured.min()), float(measured.max()))
    low, high = (amount(end, unit) for end in ends)
    if ends[0] == ends[1]:
        parts.append(f"constant at {low}")
    elif low == high:  # on a large offset
        parts.append(f"{low}, spans {amount(ends[1] - ends[0], unit)}")
    else:
        parts.append(f"{low} to {high}")
    if measured.size < data.size:
        parts.append(f"{100 * measured.size / data.size:.0f} % measured")
    return parts


def describe(metadata: Metadata) -> list[str]:
    """Return one phrase for each entry: "bias -550 mV", "size 4 x 4 nm"."""
    phrases = []
    for key, value in metadata.items():
        name, _, unit = key.partition("_")
        if isinstance(value, str):
            phrases.append(f"{key} {shortened(value, TOLD)}")
        elif isinstance(value, tuple | list):
            phrases.append(f"{name} {' x '.join(f'{float(each):.4g}' for each in value)} {unit}")
        else:
            phrases.append(f"{name} {amount(float(value), unit)}")
    return phrases
