"""Which reader a file's ending chooses, and formats that are known and not read."""

import re
from collections.abc import Callable
from pathlib import Path

from stm_experiments.io.trace import Trace
from stm_experiments.io.vendors import (
    bruker,
    createc,
    gsf,
    gwyddion,
    igor,
    nanonis,
    nanonis_grid,
    nexus,
    omicron,
    plain,
    rhk,
    scala,
    wsxm,
)
from stm_experiments.io.vendors.text import text_file

Reader = Callable[[Path], list[Trace]]


def _nanoscope_or_text(path: Path) -> list[Trace]:
    """Read a file whose ending both Bruker and ISO 28600 use."""
    with path.open("rb") as file:
        start = file.read(20)
    return bruker.traces(path) if start.startswith(bruker.STARTS) else text_file.traces(path)


FORMATS: dict[str, Reader] = {
    ".sxm": nanonis.traces,
    ".3ds": nanonis_grid.traces,
    ".gwy": gwyddion.traces,
    ".gsf": gsf.traces,
    ".ibw": igor.traces,
    "_mtrx": omicron.traces,
    ".mtrx": omicron.traces,
    ".par": scala.traces,
    ".sm4": rhk.traces,
    ".dat": createc.traces,
    ".spm": _nanoscope_or_text,
    ".stp": wsxm.traces,
    ".top": wsxm.traces,
    ".nxs": nexus.traces,
    ".h5": nexus.traces,
    ".hdf5": nexus.traces,
    ".txt": text_file.traces,
    ".asc": text_file.traces,
    ".csv": text_file.traces,
    ".xyz": text_file.traces,
    ".tif": plain.traces,
    ".tiff": plain.traces,
    ".png": plain.traces,
    ".jpg": plain.traces,
    ".jpeg": plain.traces,
    ".bmp": plain.traces,
    ".npy": plain.traces,
}
NUMBERED = re.compile(r"\.\d{3}")  # Nanoscope counts the files of a name: .000, .001
UNREAD = {  # formats that this package does not read, and whose they are
    ".nid": "Nanosurf",
    ".nhf": "Nanosurf",
    ".ezd": "Nanosurf",
    ".dm3": "DigitalMicrograph",
    ".dm4": "DigitalMicrograph",
    ".sm2": "RHK",
    ".sm3": "RHK",
    ".mul": "SPECS Aarhus",
    ".jpk": "JPK",
    ".mdt": "NT-MDT",
    ".hdf": "HDF4",
    ".bcr": "SPIP",
    ".bcrf": "SPIP",
    ".nc": "GXSM",
    ".xqd": "Park",
    ".zad": "Zygo",
}


def find_reader(path: Path) -> Reader | None:
    """Return the reader of a file's ending, in any case; None if there is none."""
    name = path.name.lower()
    if NUMBERED.fullmatch(path.suffix):
        return bruker.traces
    return next((FORMATS[ending] for ending in FORMATS if name.endswith(ending)), None)


def why_unread(path: Path) -> str:
    """Say what a file without a reader is, and what to do."""
    suffix = path.suffix.lower()
    if suffix in UNREAD:
        return (
            f"a {UNREAD[suffix]} {suffix} file, which is not read: open it in Gwyddion and save "
            "it as .gwy"
        )
    return f"unknown format '{path.suffix}', use {', '.join(FORMATS)}"
