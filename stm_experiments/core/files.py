"""Files that appear complete or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file so that a reader sees the old content or the new one, never a part.

    The block writes to the hidden path that it receives; at its end that file takes the place of
    ``path``. If the block raises, the hidden file is deleted and ``path`` stays as it is.

    Args:
        path: The file; its folder exists.

    Yields:
        ``.<name>.part`` in the same folder, for renaming across file systems is not atomic.

    Raises:
        OSError: If the file cannot be replaced.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):  # the block's own error says more
            part.unlink(missing_ok=True)


def atomic_write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as ``atomic_write`` does.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
