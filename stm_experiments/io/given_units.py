"""Units that a user gives for a scan whose file does not state them."""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stm_experiments.core.units import amount
from stm_experiments.io.scan import Scan, ScanError
from stm_experiments.io.units import to_si

log = logging.getLogger(__name__)

UNITS = ("m", "A", "V")  # of values, that a command may be told
SMALLEST_SPAN, LARGEST_SPAN = 1e-14, 1e-5  # m, of heights that a scan can have


def check_unit_settings(unit: str | None, pixel_nm: float | Sequence[float] | None) -> None:
    """Refuse units that no scan can be given.

    Raises:
        ValueError: If one is wrong.
    """
    if unit and (not isinstance(unit, str) or to_si(unit)[1] not in UNITS):
        raise ValueError(
            f"unit is m, A or V, with a prefix or without such as nm, pA, mV, or null, not {unit!r}"
        )
    sides = pixel_nm if isinstance(pixel_nm, Sequence) else [pixel_nm] * 2
    numbers = [side for side in sides if isinstance(side, int | float) and 0 < side < math.inf]
    if pixel_nm is not None and (len(numbers) != len(sides) or len(sides) != 2):
        raise ValueError(
            f"pixel_nm is above 0, one number or two (height, width), or null, not {pixel_nm!r}"
        )


def with_given_units(
    scan: Scan, path: Path, unit: str | None, pixel_nm: float | Sequence[float] | None
) -> Scan:
    """Return a scan with units that its file does not state.

    Args:
        scan: As the file has it.
        path: The file.
        unit: As for ``read_scan``.
        pixel_nm: As for ``read_scan``.

    Raises:
        ScanError: If the file states another unit or pixel size.
        ValueError: If one is wrong.
    """
    check_unit_settings(unit, pixel_nm)
    if unit and unit != scan.unit:
        if scan.unit:
            raise ScanError(f"{path}: the file says that its values are in {scan.unit}, not {unit}")
        factor, si = to_si(unit)
        scan = replace(scan, unit=si, history=(*scan.history, f"unit {unit} as given"))
        if factor != 1:
            scan = replace(scan, data=scan.data * factor, source=None)
        _warn_of_unlikely_heights(scan, unit)
    if pixel_nm is not None:
        sides = pixel_nm if isinstance(pixel_nm, Sequence) else [pixel_nm]
        size, stated = (float(sides[0]), float(sides[-1])), " x ".join(f"{s:g}" for s in sides)
        if scan.pixel_size is not None and not np.allclose(scan.pixel_size, size, rtol=1e-3):
            raise ScanError(
                f"{path}: the file says that a pixel is {scan.pixel_size[0]:g} x "
                f"{scan.pixel_size[1]:g} nm, not {stated} nm"
            )
        scan = replace(
            scan, pixel_size=size, history=(*scan.history, f"pixel of {stated} nm as given")
        )
    return scan


def _warn_of_unlikely_heights(scan: Scan, unit: str) -> None:
    """Warn of heights that no scanning tunnelling microscope can measure."""
    span = float(np.ptp(scan.data[scan.mask]))
    if scan.unit == "m" and span > 0 and not SMALLEST_SPAN < span < LARGEST_SPAN:
        log.warning(
            "%s: with unit=%s its heights span %s: is that the unit of the values in the file?",
            scan.name,
            unit,
            amount(span, "m"),
        )
