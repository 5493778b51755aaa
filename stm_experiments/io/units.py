"""Converts units, as microscope files write them, to SI."""

import math
import re

from stm_experiments.core.units import PREFIXES

BASES = ("m", "A", "V", "Hz", "N", "s", "S", "W", "J", "K", "Pa", "F", "C", "T", "eV")
SPELLINGS = {
    "angstrom": "\N{ANGSTROM SIGN}",
    "angstroms": "\N{ANGSTROM SIGN}",
    "ang": "\N{ANGSTROM SIGN}",
    "\N{LATIN SMALL LETTER A WITH RING ABOVE}": "\N{ANGSTROM SIGN}",
    "micron": "um",
    "microns": "um",
    "meter": "m",
    "meters": "m",
    "ampere": "A",
    "volt": "V",
    "volts": "V",
}
NO_UNIT = ("", "-", "--", "1", "none", "a.u.", "arb", "arb.")


def to_si(unit: str) -> tuple[float, str]:
    """Split a unit into a factor and an SI unit: ``"nm"`` is 1e-9 of ``"m"``.

    Args:
        unit: As the file has it, perhaps with spaces or brackets around it.

    Returns:
        The factor that converts values to SI, and the SI unit. 1 and the unit itself if it is a
        compound or unknown, 1 and ``""`` if there is none.
    """
    unit = unit.strip(" \t\r\n\0[]()")
    unit = SPELLINGS.get(unit.lower(), unit)
    if unit == "\N{ANGSTROM SIGN}":
        return 1e-10, "m"
    if unit.lower() in NO_UNIT:
        return 1.0, ""
    for base in BASES:
        if unit.endswith(base) and unit.removesuffix(base) in PREFIXES:
            return PREFIXES[unit.removesuffix(base)], base
    return 1.0, unit


def number(text: str) -> float:
    """Read a number with a decimal point or comma.

    Raises:
        ValueError: If the text is no number.
    """
    return float(text.strip().replace(",", "."))


def length_nm(text: str) -> float:
    """Read a length such as ``"2.5 µm"`` or ``"8,0000 nm"``.

    Args:
        text: A number and a unit of length.

    Returns:
        nm; NaN if the text is no length.
    """
    match = re.fullmatch(r"\s*([-+]?[\d.,]{1,40}(?:[eE][-+]?\d{1,4})?)\s*([^\d\s]{1,20})\s*", text)
    if match is None:
        return math.nan
    factor, unit = to_si(match[2])
    try:
        return number(match[1]) * factor * 1e9 if unit == "m" else math.nan
    except ValueError:
        return math.nan
