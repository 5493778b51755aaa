"""Reads the files of ``read_scan`` into layers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error

from stm_experiments.core.texts import printable
from stm_experiments.io.formats import find_reader
from stm_experiments.io.read import read_scans
from stm_experiments.io.scan import Scan, ScanError
from stm_experiments.viewer.layers import LayerData, image_layer, labels_layer
from stm_experiments.viewer.warnings import show_warnings

MOST = 16  # images of a file that become layers
UNMEASURED = "not measured"


NOTHING: list[Any] = [(None,)]  # napari's sign that a file was dealt with
Paths = str | Sequence[str]


def find(path: Paths) -> Callable[[Paths], list[Any]] | None:
    """Return the function that reads files, None if their endings are not known."""
    return read_or_tell if all(find_reader(file) for file in paths_of(path)) else None


def read_or_tell(path: Paths) -> list[Any]:
    """Return the images of files as layers; tell in the window why there are none."""
    try:
        return read(path)
    except ScanError as error:
        show_error(printable(str(error)))
        return NOTHING


def read(path: Paths) -> list[LayerData]:
    """Return the images of files as layers, the topography on top and the others hidden.

    Raises:
        ScanError: If a file cannot be read.
    """
    layers = []
    with show_warnings():
        for file in paths_of(path):
            scans = read_scans(file, MOST)
            for scan in reversed(scans):
                layers += layers_of(scan, visible=scan is scans[0])
    return layers


def layers_of(scan: Scan, *, visible: bool) -> list[LayerData]:
    """Return a scan as an image, with labels where it was not measured."""
    way = "" if scan.direction == "forward" else f" ({scan.direction})"
    name = f"{scan.name} {scan.channel}{way}"
    layers = [image_layer(scan, name, visible=visible)]
    if not scan.mask.all():
        layers.append(labels_layer(~scan.mask, scan, f"{name}: {UNMEASURED}", visible=visible))
    return layers


def paths_of(path: Paths) -> list[Path]:
    """Return one file or several as a list."""
    return [Path(file) for file in ([path] if isinstance(path, str | Path) else path)]
