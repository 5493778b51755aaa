"""Files that appear complete or not at all."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file so that a reader sees the old content or the new one, never a part.

    The block writes to the hidden path that it receives; at its end that file is on the disk and
    takes the place of ``path``, also of a link. If the block raises, the hidden file is deleted and
    ``path`` stays as it is.

    Args:
        path: The file; its folder exists.

    Yields:
        ``.<name>.part`` in the same folder, for renaming across file systems is not atomic.

    Raises:
        OSError: If the file cannot be replaced.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # a link would be followed
    try:
        yield part
        _wait_for_disk(part)
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):  # the block's own error says more
            part.unlink(missing_ok=True)


def _wait_for_disk(path: Path) -> None:
    """Return when a file is on the disk: otherwise it may be empty after a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as ``atomic_write`` does.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds a mapping.

    Raises:
        ValueError: If it is damaged; the message names the file.
        OSError: If it cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is damaged or empty: it holds no JSON") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds no mapping")
    return content
