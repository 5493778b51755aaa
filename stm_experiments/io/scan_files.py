"""Several scans in one call: finding them, naming their results, going on past bad ones."""

import glob
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stm_experiments.io.read import READERS, list_channels, read_scan
from stm_experiments.io.scan import Scan, ScanError

log = logging.getLogger(__name__)


def find(pattern: str) -> list[Path]:
    """The files that are meant.

    Args:
        pattern: A file, taken literally; a folder: all files in it that could be scans (hidden
            files and Omicron's ``.mtrx``, which holds settings, are left out); or a pattern with
            ``*`` and so on.

    Returns:
        Paths in order of their names, at least one.

    Raises:
        ValueError: If there is none.
    """
    path = Path(pattern)
    if path.is_dir():
        endings = tuple(ending for ending in READERS if ending != ".mtrx")
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
    found = sorted(Path(name) for name in glob.glob(pattern) if not Path(name).is_dir())
    if not found:
        raise ValueError(f"{pattern}: no such file")
    return found


def check_units(unit: str | None, pixel_nm: float | None) -> None:
    """Refuses units that ``read`` cannot put in.

    Raises:
        ValueError: If one is wrong.
    """
    if unit not in (None, "", "m", "A", "V"):
        raise ValueError(f"unit is m, A, V or null, not {unit!r}")
    if pixel_nm is not None and not (isinstance(pixel_nm, int | float) and pixel_nm > 0):
        raise ValueError(f"pixel_nm is above 0, or null, not {pixel_nm!r}")


def read(
    path: Path,
    channel: str | None,
    direction: str,
    unit: str | None,
    pixel_nm: float | None,
) -> Scan:
    """``read_scan``, with units for files that do not say them.

    Args:
        path: The file.
        channel: As for ``read_scan``.
        direction: As for ``read_scan``.
        unit: Of the values, ``m``, ``A`` or ``V``; None: the file's. They are not converted.
        pixel_nm: Size of a pixel, nm; None: the file's.

    Raises:
        ScanError: As ``read_scan``, or if the file says another unit or pixel size.
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


def show_channels(path: Path) -> None:
    """Prints a line for a file: its channels, each with its directions."""
    channels = (f"{name} ({', '.join(found)})" for name, found in list_channels(path).items())
    print(f"{path.name}: {', '.join(channels)}")


def partner(path: Path, clean: str, shape: tuple[int, ...]) -> Scan:
    """The same image without noise: the file ``clean``, or the one named alike in that folder.

    Raises:
        ScanError: If it cannot be read or is not of this shape.
    """
    given = Path(clean)
    scan = read_scan(given / path.name if given.is_dir() else given)
    if scan.data.shape != shape:
        raise ScanError(
            f"the clean image has {scan.data.shape[0]} x {scan.data.shape[1]} px, the scan "
            f"{shape[0]} x {shape[1]} px"
        )
    return scan


def stems(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each file's results, different even where letters' case does not count.

    Files of equal stems, such as ``scan.sxm`` and ``scan.png``, get numbers from the second on.
    """
    named: dict[Path, str] = {}
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
        named[path] = f"{stem}_reconstructed"
    return named


def each(paths: Sequence[Path], work: Callable[[Path], object]) -> None:
    """Does the work for each file and goes on past those that fail.

    Args:
        paths: The files.
        work: What to do with one.

    Raises:
        ValueError: At the end, naming all files that failed; the error itself if there is but one
            file.
    """
    failed = []
    for path in paths:
        try:
            work(path)
        except (ValueError, RuntimeError, MemoryError, OSError) as error:
            if len(paths) == 1:
                raise
            log.error("%s failed: %s", path.name, error)
            failed.append(path.name)
    if failed:
        raise ValueError(f"{len(failed)} of {len(paths)} files failed: {', '.join(failed)}")
