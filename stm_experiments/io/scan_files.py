"""Several scans in one call: finding the files, naming their results, reading as keys say."""

import glob
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stm_experiments.core.texts import printable
from stm_experiments.core.units import amount
from stm_experiments.io.formats import FORMATS, find_reader, why_unread
from stm_experiments.io.listing import describe_file
from stm_experiments.io.read import read_scan
from stm_experiments.io.scan import Scan, ScanError
from stm_experiments.io.units import to_si

log = logging.getLogger(__name__)

# Data of the channels of Omicron's SCALA, which the .par file names.
PART = re.compile(r"\.[ts][fb]\d{1,2}", re.IGNORECASE)
UNITS = ("m", "A", "V")  # of values, that a command may be told
SMALLEST_SPAN, LARGEST_SPAN = 1e-14, 1e-5  # m, of heights that a scan can have
# Keys of a command that say how it reads scans.
READING = ("channel", "direction", "frame", "unit", "pixel_nm")


def find_scan_files(pattern: str) -> list[Path]:
    """Return the files that a file name, a folder or a pattern stands for.

    Args:
        pattern: A file, taken literally; a folder: all files in it that can be scans (except hidden
            files and Omicron's ``.mtrx``, which holds settings); or a pattern with ``*`` and so on.

    Returns:
        Paths in order of their names, at least one.

    Raises:
        ValueError: If there is none.
    """
    path = Path(pattern)
    if path.is_dir():
        scans = sorted(file for file in path.iterdir() if _can_be_scan(file))
        if not scans:
            deeper = "; the folders in it are not searched" if _count_folders(path) else ""
            raise ValueError(f"{path}: no scan in this folder ({', '.join(FORMATS)}){deeper}")
        return scans
    if path.exists():
        return [path]
    paths = sorted(Path(name) for name in glob.glob(pattern) if not Path(name).is_dir())
    if not paths:
        several = "; several files are a folder, or a pattern in quotes such as 'scans/*.sxm'"
        raise ValueError(f"{pattern}: no such file{several if pattern.startswith('[') else ''}")
    return paths


def _count_folders(folder: Path) -> int:
    """Return the number of folders in a folder that are not hidden."""
    return sum(each.is_dir() and not each.name.startswith(".") for each in folder.iterdir())


def _can_be_scan(file: Path) -> bool:
    """Say whether a file in a folder has an ending of scans."""
    return (
        find_reader(file) is not None
        and not file.is_dir()
        and file.suffix.lower() != ".mtrx"
        and not file.name.startswith(".")
    )


def passed_over(pattern: str) -> list[str]:
    """Return the files of a folder that ``find_scan_files`` leaves out, each with the reason.

    Hidden files and those that belong to scans, such as Omicron's ``.mtrx``, are not named; folders
    are counted.

    Args:
        pattern: As for ``find_scan_files``; nothing is left out unless it is a folder.
    """
    folder = Path(pattern)
    if not folder.is_dir():
        return []
    others = [
        file
        for file in sorted(folder.iterdir())
        if find_reader(file) is None and not file.name.startswith(".") and not file.is_dir()
    ]
    reasons = [
        printable(f"{file.name} ({why_unread(file)})")
        for file in others
        if not PART.fullmatch(file.suffix)
    ]
    count = _count_folders(folder)
    folders = [f"{count} folder{'s' * (count > 1)} (not searched)"] if count else []
    return [*reasons, *folders]


def check_unit_settings(unit: str | None, pixel_nm: float | Sequence[float] | None) -> None:
    """Refuse units that ``read_with_units`` cannot set.

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


def read_with_units(
    path: Path,
    channel: str | None,
    direction: str,
    unit: str | None,
    pixel_nm: float | Sequence[float] | None,
    frame: int | None = None,
) -> Scan:
    """Read a scan and set the units that its file does not state.

    Args:
        path: The file.
        channel: As for ``read_scan``.
        direction: As for ``read_scan``.
        unit: Of the values, such as ``m``, ``nm``, ``pA`` or ``mV``; they are converted to m, A or
            V. None: the file's.
        pixel_nm: Size of a pixel, nm, or its height and width; None: the file's.
        frame: As for ``read_scan``.

    Raises:
        ScanError: As ``read_scan``, or if the file states another unit or pixel size.
    """
    scan = read_scan(path, channel, direction, frame)
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


def describe_channels(path: Path) -> str:
    """Return lines about a file: its measurement, and its images with size and range.

    Raises:
        ScanError: If the file cannot be read.
    """
    images, phrases = describe_file(path)
    lines = [
        f"{path.name}: {', '.join(phrases)}".rstrip(": "),
        *(f"  {i.name}: {i.extent}" for i in images),
    ]
    return "\n".join(map(printable, lines))


def read_partner(path: Path, clean: str, shape: tuple[int, ...]) -> Scan:
    """Read the same image without noise.

    Args:
        path: The scan.
        clean: The partner's file, or a folder with a file of the scan's name.
        shape: (H, W) of the scan, px.

    Raises:
        ScanError: If it cannot be read or has another shape.
    """
    partner = Path(clean)
    scan = read_scan(partner / path.name if partner.is_dir() else partner)
    if scan.data.shape != shape:
        raise ScanError(
            f"the clean image has {scan.data.shape[0]} x {scan.data.shape[1]} px, the scan "
            f"{shape[0]} x {shape[1]} px"
        )
    return scan


def result_stems(paths: Sequence[Path], ending: str = "") -> dict[Path, str]:
    """Return a name for each file's results; no two differ by the case of letters alone.

    Files of equal stems, such as ``scan.sxm`` and ``scan.png``, get numbers from the second on.

    Args:
        paths: The files.
        ending: Appended to each name.
    """
    stems: dict[Path, str] = {}
    taken = {path.stem.casefold() for path in paths}
    first = set()
    for path in paths:
        stem, number = path.stem, 1
        if stem.casefold() in first:
            while f"{stem}_{number}".casefold() in taken:
                number += 1
            stem = f"{stem}_{number}"
        first.add(path.stem.casefold())
        taken.add(stem.casefold())
        stems[path] = stem + ending
    return stems


def read_as_set(path: Path, settings: Mapping[str, Any]) -> Scan:
    """Read a scan as the keys ``READING`` of a command's settings say; see ``read_with_units``."""
    return read_with_units(path, **{key: settings[key] for key in READING})
