"""Writes layers as scans, with units, size of the pixels and history."""

from typing import Any

from stm_experiments.io.scan import ScanError
from stm_experiments.viewer.layers import as_scan


def write(path: str, values: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer; the ending of the path chooses the format of ``Scan.save``.

    Raises:
        OSError: If the layer is no scan, the file exists or cannot be written. napari hides a
            ``ScanError``, which is a ``ValueError``.
    """
    try:
        as_scan(values, attributes).save(path)
    except ScanError as error:
        raise OSError(str(error)) from None
    return [path]
