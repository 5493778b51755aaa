"""The frame of a command that works through scan files: find, name the results, skip bad ones."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stm_experiments.app.job import new_folder
from stm_experiments.app.logs import log_traceback, print_and_log
from stm_experiments.app.messages import one_sentence
from stm_experiments.core.texts import did_you_mean, printable
from stm_experiments.io import scan_files
from stm_experiments.io.given_units import check_unit_settings
from stm_experiments.io.scan import WRITERS, NotAScanError

log = logging.getLogger(__name__)


def list_scans(settings: dict[str, Any]) -> None:
    """Print the images of each file that ``image`` names, and what it says of the measurement.

    Args:
        settings: Of the command; those that choose or change an image have no effect, and it says
            so.

    Raises:
        ValueError: As ``for_each_file``.
    """
    given = [key for key in scan_files.READING if settings[key] not in (None, "forward")]
    if given:
        keys = ", ".join(f"{key}=" for key in given)
        print(f"list=true shows all images as they are stored, without {keys}")
    paths = scan_files.find_scan_files(settings["image"])
    left_out = scan_files.passed_over(settings["image"])
    for_each_file(paths, lambda path: print(scan_files.describe_channels(path)), left_out)


def work_through(
    settings: dict[str, Any], work: Callable[[Path, Path], object], ending: str = ""
) -> None:
    """Do the work of a command for each file that its key ``image`` names.

    Args:
        settings: Of the command: ``image``, ``unit`` and ``pixel_nm``.
        work: Takes a file, and where its results go: a path without suffix.
        ending: Of the names of results.

    Raises:
        ValueError: If a setting cannot be used, or some of the files.
    """
    paths = scan_files.find_scan_files(settings["image"])
    left_out = scan_files.passed_over(settings["image"])
    check_unit_settings(settings["unit"], settings["pixel_nm"])
    folder = new_folder()
    stems = scan_files.result_stems(paths, ending)
    for_each_file(paths, lambda path: work(path, folder / stems[path]), left_out)


def for_each_file(
    paths: Sequence[Path], work: Callable[[Path], object], left_out: Sequence[str] = ()
) -> None:
    """Do the work for each file and continue after those that fail, for whatever reason.

    A file that fails is reported in one sentence; the traceback goes to the log file. At the end
    the files that are no scans are named, with the reasons.

    Args:
        paths: The files.
        work: What to do with one.
        left_out: Names and reasons of files that were passed over before.

    Raises:
        ValueError: At the end, naming all files that failed; the error itself if there is only one
            file; or if no file is a scan.
    """
    failed, passed = [], list(left_out)
    for path in paths:
        try:
            work(path)
        except NotAScanError as error:
            if len(paths) == 1:
                raise
            reason = str(error).removeprefix(f"{path}: ").rstrip(".")
            passed.append(printable(f"{path.name} ({reason})"))
        except Exception as error:  # the other files are not to suffer from a fault of ours
            if len(paths) == 1:
                if isinstance(error, ValueError) and path.name not in str(error):
                    raise ValueError(f"{path}: {error}") from error
                raise
            reason = one_sentence(error).removeprefix(printable(f"{path}: "))
            log.error("%s failed: %s", printable(path.name), reason)
            log_traceback()
            failed.append(printable(path.name))
    if passed:
        log.warning("passed over: %s", ", ".join(passed))
    if failed:
        raise ValueError(f"{len(failed)} of {len(paths)} files failed: {', '.join(failed)}")
    if len(passed) - len(left_out) == len(paths):
        raise ValueError(f"none of the {len(paths)} files is a scan")


def check_formats(formats: Any) -> list[str]:
    """Return the endings of the formats in which scans are to be written.

    Args:
        formats: Such as ``gwy``, or a list of them.

    Raises:
        ValueError: If one is not written.
    """
    names = formats if isinstance(formats, list) else [formats]
    endings = [f".{str(name).lstrip('.').lower()}" for name in names]
    known = [ending[1:] for ending in WRITERS if ending != ".png"]
    for ending in endings:
        if ending[1:] not in known:
            likely = did_you_mean(ending[1:], known)
            raise ValueError(
                f"formats has no {ending[1:]!r}: choose from {', '.join(known)}{likely}"
            )
    return endings


def print_written(stem: Path, endings: Sequence[str]) -> None:
    """Print and log the names of the files that were written.

    Args:
        stem: Their folder, and how their names begin.
        endings: How their names end.
    """
    names = ", ".join(f"{stem.name}{ending}" for ending in endings)
    print_and_log(f"{stem.parent}: {names}")
