"""What changes the outcome of a run besides its command: data files, versions, threads, device.

The folder of a run keeps them from its start in circumstances.json. A run that would go on under
others would end differently from an uninterrupted one.
"""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from stm_experiments.core.files import (
    CONFIG_BYTES,
    SCAN_BYTES,
    FileRefused,
    open_regular,
    read_bytes,
    read_json,
    write_json,
)
from stm_experiments.core.plugins import plugin_files
from stm_experiments.core.texts import printable

FILE_NAME = "circumstances.json"
VERSIONS = ("stm_experiments", "torch", "numpy", "lightning")
HASHED_BYTES = 8 * 2**20  # at the start and at the end of a data file
MOST_NAMED = 5  # differences in one message
LONGEST_VALUE = 60  # characters in a message
ABSENT = "absent"


class CircumstancesChanged(ValueError):
    """A run would go on under circumstances that change its outcome; the message names them."""


def describe(config: dict[str, Any], files: Sequence[Path]) -> dict[str, Any]:
    """Return the circumstances of a run as plain data.

    The name of the machine does not matter. On a CPU, its instruction set and the number of threads
    do: they change the order of sums, and so the last bits of the weights.

    Args:
        config: The run's config.
        files: The files from which its data are read.
    """
    names = [*VERSIONS, "numba"] if config.get("model", {}).get("fused") else VERSIONS
    plugins = {name: _digest(paths) for name, paths in plugin_files().items()}
    has_gpu = config["trainer"]["accelerator"] != "cpu" and torch.cuda.is_available()
    return {
        "versions": {name: _version(name) for name in names},
        "device": "GPU" if has_gpu else f"CPU with {torch.backends.cpu.get_cpu_capability()}",
        "threads": None if has_gpu else torch.get_num_threads(),
        "config": json.loads(json.dumps(config, default=str)),
        "files": _fingerprints(files),
        **({"plugins": plugins} if plugins else {}),
    }


def _digest(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of small files, one after the other."""
    content = hashlib.sha256()
    for path in paths:
        content.update(read_bytes(path, CONFIG_BYTES))
    return content.hexdigest()


def _version(name: str) -> str:
    """Return the version of a distribution; ``absent`` if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ABSENT


def _fingerprints(files: Sequence[Path]) -> dict[str, Any]:
    """Return the size and hash of each file, by its name below the folder of all."""
    if not files:
        return {}
    root = os.path.commonpath([path.absolute().parent for path in files])
    return {os.path.relpath(path.absolute(), root): _fingerprint(path) for path in files}


def _fingerprint(path: Path) -> list[Any]:
    """Return the size of a file, bytes, and the SHA-256 of its first and last 8 MiB."""
    try:
        with open_regular(path, SCAN_BYTES) as file:
            size = os.fstat(file.fileno()).st_size
            content = hashlib.sha256(file.read(HASHED_BYTES))
            file.seek(max(HASHED_BYTES, size - HASHED_BYTES))
            content.update(file.read(HASHED_BYTES))
    except (FileRefused, OSError) as error:
        return [None, type(error).__name__]  # the data source says more about it
    return [size, content.hexdigest()]


def compare(folder: Path, now: dict[str, Any], *, anyway: bool) -> list[str]:
    """Compare the circumstances of an interrupted run with those in its folder.

    Args:
        folder: The run folder.
        now: From ``describe``.
        anyway: Go on if they differ.

    Returns:
        The differences, one clause each.

    Raises:
        CircumstancesChanged: If they differ.
    """
    path = folder / FILE_NAME
    try:
        changes = differences(read_json(path), now)
    except FileNotFoundError:
        print(printable(f"{path} is missing: the circumstances of the start are not known"))
        changes = []
    except (ValueError, RecursionError) as error:
        changes = [str(error)]
    if changes and not anyway:
        raise CircumstancesChanged(
            f"{folder} would end differently, for its circumstances have changed: "
            f"{_listed(changes)}; undo that, or go on with resume_anyway=true"
        )
    if changes:
        print(printable(f"{folder} goes on under other circumstances: {_listed(changes)}"))
    return changes


def write(folder: Path, now: dict[str, Any]) -> None:
    """Write the circumstances of a run that begins, or goes on under others."""
    write_json(folder / FILE_NAME, now)


def _listed(changes: Sequence[str]) -> str:
    more = len(changes) - MOST_NAMED
    return "; ".join([*changes[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return how circumstances differ, one clause each.

    Args:
        then: Those of the start, as they were read.
        now: Those of now.
    """
    settings = [
        f"{key} was {_shorten(old)} and is {_shorten(new)}"
        for key, old, new in _pairs(_flatten(_part(then)), _flatten(_part(now)))
    ]
    verbs = {(True, True): "has changed", (True, False): "is gone", (False, True): "is new"}
    files = [
        f"the data file {name} {verbs[old != ABSENT, new != ABSENT]}"
        for name, old, new in _pairs(_part(then, "files"), _part(now, "files"))
    ]
    return settings + files


def _part(circumstances: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """Return an entry that is a mapping; without a key, all entries but the files."""
    if not key:
        return {name: value for name, value in circumstances.items() if name != "files"}
    part = circumstances.get(key)
    return part if isinstance(part, dict) else {}


def _pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the keys whose values differ, with both values as JSON."""
    for key in dict.fromkeys([*old, *new]):
        then, now = (json.dumps(each[key]) if key in each else ABSENT for each in (old, new))
        if then != now:
            yield key, then, now


def _flatten(tree: object, key: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by dotted key."""
    if not isinstance(tree, dict) or not tree:
        return {key: tree}
    flat: dict[str, Any] = {}
    for name, part in tree.items():
        flat |= _flatten(part, f"{key}.{name}" if key else str(name))
    return flat


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
