"""Several scans in one call: finding the files, naming their results, reading as keys say."""

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stm_experiments.core.texts import printable
from stm_experiments.io.formats import FORMATS, find_reader, why_unread
from stm_experiments.io.listing import describe_file
from stm_experiments.io.read import read_scan
from stm_experiments.io.scan import Scan, ScanError

# Data of the channels of Omicron's SCALA, which the .par file names.
PART = re.compile(r"\.[ts][fb]\d{1,2}", re.IGNORECASE)
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
    """Read a scan as the keys ``READING`` of a command's settings say; see ``read_scan``."""
    return read_scan(path, **{key: settings[key] for key in READING})
