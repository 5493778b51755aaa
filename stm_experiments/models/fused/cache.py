"""Compiled code that is kept on disk, so that only the first run compiles it."""

import hashlib
import os
from pathlib import Path

from numba import config, njit

from stm_experiments.models.fused.lanes import Function


def kept_on_disk(function: Function) -> Function:
    """Compile a function when it is first called; keep the code in the user's cache folder.

    The compiler looks for changes in the file of the function alone; therefore the name of the
    folder tells the content of all files of this package. Where nothing can be written, each run
    compiles anew.
    """
    options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    chosen, config.CACHE_DIR = config.CACHE_DIR, config.CACHE_DIR or str(cache_folder())
    try:
        kept: Function = njit(cache=True, **options)(function)
    except RuntimeError:
        kept = njit(**options)(function)
    finally:
        config.CACHE_DIR = chosen
    return kept


def cache_folder() -> Path:
    """Return the folder of the compiled code of this version of the package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "stm_experiments" / digest.hexdigest()[:16]


def is_kept() -> bool:
    """Return whether the compiled code is in the cache folder."""
    return any(cache_folder().rglob("*.nbc"))
