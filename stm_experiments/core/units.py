"""SI prefixes, and quantities as text."""

import math
from typing import NamedTuple

PREFIXES = {
    "": 1.0,
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "\N{MICRO SIGN}": 1e-6,
    "\N{GREEK SMALL LETTER MU}": 1e-6,
    "m": 1e-3,
    "c": 1e-2,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
}
PREFIXED = ("m", "A", "V")  # the units of scans that get a prefix; others are left as they are
_POWERS = {-5: "f", -4: "p", -3: "n", -2: "\N{MICRO SIGN}", -1: "m", 0: ""}  # of 1000


class PrefixedUnit(NamedTuple):
    """A unit with the prefix that fits a number.

    Attributes:
        factor: Value of the prefixed unit in the unit itself.
        unit: The prefixed unit.
    """

    factor: float
    unit: str


def fitting_unit(value: float, unit: str, smallest: int = -5) -> PrefixedUnit:
    """Return the unit in which a value is a number from 1 to 1000.

    Args:
        value: In ``unit``.
        unit: SI; only m, A and V get a prefix.
        smallest: Power of 1000 of the smallest prefix, -5 (femto) to 0.
    """
    if unit not in PREFIXED or value == 0:
        return PrefixedUnit(1.0, unit)
    power = min(max(math.floor(math.log10(abs(value)) / 3), smallest), 0)
    return PrefixedUnit(1000.0**power, _POWERS[power] + unit)


def amount(value: float, unit: str) -> str:
    """Return a quantity with three digits and its SI prefix: "12.3 pm" for 1.23e-11 m."""
    value = float(f"{value:.3g}")
    if unit not in PREFIXED or value == 0:
        return f"{value:.3g} {unit}".rstrip()
    factor, prefixed = fitting_unit(value, unit)
    return f"{value / factor:.4g} {prefixed}"


def with_error(value: float, error: float, unit: str) -> str:
    """Return a value with as many digits as its error has: "1.0404 ± 0.0013 nm" for .00132.

    Args:
        value: In ``unit``.
        error: Standard error, given to two digits.
        unit: Is appended as it is.
    """
    if not error > 0:
        return f"{value:.4g} ± {error:.2g}{unit}"
    digits = max(0, 1 - math.floor(math.log10(float(f"{error:.1e}"))))
    return f"{value:.{digits}f} ± {error:.{digits}f}{unit}"
