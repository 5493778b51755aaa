"""Files that appear complete or not at all, and files of others, read within bounds.

The bounds of the files that this package reads stand here. ``io.trace.check_size`` also bounds the
pixels of a scan by what its file can hold.
"""

import contextlib
import csv
import errno
import io
import itertools
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

CONFIG_BYTES = 2**20  # of a YAML file; a run's config has about 5 KB
RECORD_BYTES = 16 * 2**20  # of a JSON or CSV file in a run folder; most have less than 200 KB
RECORD_ROWS = 100_000  # of such a CSV file; latent.csv has at most 1500
PICTURE_BYTES = 64 * 2**20  # of a picture in a run folder
PICTURE_PIXELS = 50_000_000  # of such a picture: 150 MiB in colour
SCAN_BYTES = 4 * 2**30  # of a microscope file or image
MODEL_BYTES = 4 * 2**30  # of a checkpoint


class FolderTaken(FileExistsError):
    """A folder belongs to another run; nothing may be written there, not even into its log."""


class FileRefused(ValueError):
    """A file that is not opened; the message is one sentence that names it."""


def open_regular(path: Path, most: int) -> BinaryIO:
    """Open a file of bounded size for reading, without waiting for a pipe or a device.

    Args:
        path: The file; links are followed.
        most: Bytes that it may have.

    Raises:
        FileRefused: If it is no regular file or too large.
        OSError: If it is missing or cannot be opened.
    """
    return open(path, "rb", opener=partial(_open_checked, most=most))


def _open_checked(path: str, flags: int, most: int) -> int:
    """Return the descriptor of a regular file of at most so many bytes; see ``open_regular``."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    about = os.fstat(descriptor)
    is_regular = stat.S_ISREG(about.st_mode)
    if is_regular and about.st_size <= most:
        return descriptor
    os.close(descriptor)
    reason = f"larger than {most / 2**20:g} MiB" if is_regular else "not a regular file"
    raise FileRefused(f"{path}: {reason}")


def check_regular(path: Path, most: int) -> None:
    """Refuse what ``open_regular`` refuses, for libraries that open files themselves.

    Raises:
        FileRefused: If it is no regular file or too large.
        OSError: If it is missing or cannot be opened.
    """
    open_regular(path, most).close()


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file whole; what is appended meanwhile is left out.

    Raises:
        FileRefused: If it is no regular file or too large.
        OSError: If it is missing or cannot be read.
    """
    with open_regular(path, most) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds a mapping.

    Raises:
        ValueError: If it is damaged, too large or no regular file; the message names it.
        OSError: If it cannot be read.
    """
    content = read_bytes(path, RECORD_BYTES)
    try:
        mapping = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is damaged or empty: it holds no JSON") from None
    if not isinstance(mapping, dict):
        raise ValueError(f"{path} is damaged: it holds no mapping")
    return mapping


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file with a header; cells that a row lacks are empty.

    Raises:
        ValueError: If it is damaged, too large or no regular file; the message names it.
        OSError: If it cannot be read.
    """
    content = read_bytes(path, RECORD_BYTES)
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), restval="")
        rows = list(itertools.islice(reader, RECORD_ROWS + 1))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is damaged: it holds no table ({error})") from None
    if len(rows) > RECORD_ROWS:
        raise ValueError(f"{path}: more than {RECORD_ROWS} rows")
    return rows


def open_own(path: Path) -> TextIOWrapper:
    """Open a text file of ours to append to it; a link is not followed.

    Raises:
        OSError: If it is a link or cannot be opened.
    """
    return open(path, "a+", encoding="utf-8", errors="backslashreplace", opener=_open_unlinked)


def _open_unlinked(path: str, flags: int) -> int:
    """Return the descriptor of a file that is no link; see ``open_own``."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, which is not followed", path) from None
        raise


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write a file so that a reader sees the old content or the new one, never a part.

    The block writes to a hidden new file, ``.<name>.part`` in the same folder, for renaming across
    file systems is not atomic. At the block's end that file is on the disk and takes the place of
    ``path``. No link is followed: a link at ``path`` is replaced. If the block raises, the hidden
    file is deleted and ``path`` stays as it is.

    Args:
        path: The file; its folder exists.

    Yields:
        The hidden file, open for writing.

    Raises:
        OSError: If the file cannot be written or replaced; the error names it.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a process that was killed, or a link
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # otherwise it may be empty after a power failure
        os.replace(part, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(part)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # the block's own error says more
            part.unlink(missing_ok=True)


def atomic_write_text(path: Path, text: str) -> None:
    r"""Write UTF-8 text as ``atomic_write`` does; bytes of names that are not become ``\udcff``.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, content: Any) -> None:
    """Write plain data as JSON, as ``atomic_write`` does.

    Raises:
        OSError: If the file cannot be written.
    """
    atomic_write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with a header, as ``atomic_write`` does.

    Raises:
        OSError: If the file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    atomic_write_text(path, text.getvalue())
