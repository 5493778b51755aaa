"""Several scans in one call: finding the files, naming their results, skipping bad ones."""

import glob
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stm_experiments.core.texts import printable
from stm_experiments.io.read import FORMATS, list_channels, read_scan
from stm_experiments.io.scan import Scan, ScanError

log = logging.getLogger(__name__)


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
        endings = tuple(ending for ending in FORMATS if ending != ".mtrx")
        scans = [
            file
            for file in path.iterdir()
            if file.name.lower().endswith(endings) and not file.name.startswith(".")
        ]
        if not scans:
            raise ValueError(f"{path}: no scan in this folder ({', '.join(endings)})")
        return sorted(scans)
    if path.exists():
        return [path]
    paths = sorted(Path(name) for name in glob.glob(pattern) if not Path(name).is_dir())
    if not paths:
        raise ValueError(f"{pattern}: no such file")
    return paths


def check_unit_settings(unit: str | None, pixel_nm: float | None) -> None:
    """Refuse units that ``read_with_units`` cannot set.

    Raises:
        ValueError: If one is wrong.
    """
    if unit not in (None, "", "m", "A", "V"):
        raise ValueError(f"unit is m, A, V or null, not {unit!r}")
    if pixel_nm is not None and not (isinstance(pixel_nm, int | float) and 0 < pixel_nm < math.inf):
        raise ValueError(f"pixel_nm is above 0, or null, not {pixel_nm!r}")


def read_with_units(
    path: Path,
    channel: str | None,
    direction: str,
    unit: str | None,
    pixel_nm: float | None,
) -> Scan:
    """Read a scan and set the units that its file does not state.

    Args:
        path: The file.
        channel: As for ``read_scan``.
        direction: As for ``read_scan``.
        unit: Of the values, ``m``, ``A`` or ``V``; None: the file's. They are not converted.
        pixel_nm: Size of a pixel, nm; None: the file's.

    Raises:
        ScanError: As ``read_scan``, or if the file states another unit or pixel size.
    """
    scan = read_scan(path, channel, direction)
    if unit and unit != scan.unit:
        if scan.unit:
            raise ScanError(f"{path}: the file says that its values are in {scan.unit}, not {unit}")
        scan = replace(scan, unit=unit, history=(*scan.history, f"unit {unit} as given"))
    if pixel_nm is not None:
        size = (float(pixel_nm), float(pixel_nm))
        if scan.pixel_size is not None and not np.allclose(scan.pixel_size, size, rtol=1e-3):
            raise ScanError(
                f"{path}: the file says that a pixel is {scan.pixel_size[0]:g} x "
                f"{scan.pixel_size[1]:g} nm, not {pixel_nm:g} nm"
            )
        scan = replace(
            scan, pixel_size=size, history=(*scan.history, f"pixel of {pixel_nm:g} nm as given")
        )
    return scan


def describe_channels(path: Path) -> str:
    """Return one line about a file: its channels, each with its directions.

    Raises:
        ScanError: If the file cannot be read.
    """
    channels = list_channels(path).items()
    texts = [f"{name} ({', '.join(directions)})" for name, directions in channels]
    return printable(f"{path.name}: {', '.join(texts)}")


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


def for_each_file(paths: Sequence[Path], work: Callable[[Path], object]) -> None:
    """Do the work for each file and continue after those that fail.

    Args:
        paths: The files.
        work: What to do with one.

    Raises:
        ValueError: At the end, naming all files that failed; the error itself if there is only one
            file.
    """
    failed = []
    for path in paths:
        try:
            work(path)
        except (ValueError, RuntimeError, MemoryError, OSError) as error:
            if len(paths) == 1:
                raise
            log.error("%s failed: %s", printable(path.name), printable(error))
            failed.append(printable(path.name))
    if failed:
        raise ValueError(f"{len(failed)} of {len(paths)} files failed: {', '.join(failed)}")
