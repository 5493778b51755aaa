"""Writes layers as scans, with units, size of the pixels and history."""

from typing import Any

from stm_experiments.viewer.layers import as_scan


def write(path: str, values: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer; the ending of the path chooses the format of ``Scan.save``.

    Raises:
        ScanError: If the layer is no scan, the file exists or cannot be written.
    """
    as_scan(values, attributes).save(path)
    return [path]
