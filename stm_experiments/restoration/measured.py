"""Scans from whatever a user has, and the part of a scan that a network receives."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from stm_experiments.core.arrays import Array
from stm_experiments.core.images import fill_nearest
from stm_experiments.io import read_scan
from stm_experiments.io.scan import Scan, ScanError


def as_scan(scan: Scan | str | Path | ArrayLike) -> Scan:
    """Return a scan, read it from a file, or make it of an array [H, W].

    NaN and infinite pixels count as not measured.

    Raises:
        ScanError: If the argument is none of these.
    """
    if isinstance(scan, Scan):
        finite = scan.mask & np.isfinite(scan.data)
        return scan if finite.all() or not finite.any() else replace(scan, mask=finite)
    if isinstance(scan, str | Path):
        return read_scan(scan)
    data = scan.detach().cpu().numpy() if isinstance(scan, Tensor) else np.asarray(scan)
    if data.ndim != 2 or data.dtype.kind not in "biuf":
        raise ScanError(
            f"image: expected real numbers [H, W], not {data.dtype} of shape {list(data.shape)}."
        )
    mask = np.isfinite(data)
    if not mask.any():
        raise ScanError("image: no pixel is a finite number.")
    return Scan(np.where(mask, data, np.median(data[mask])).astype(np.float64), mask, "", None, "")


class MeasuredPart(NamedTuple):
    """The smallest rectangle with all measured pixels, such as the rows of an unfinished scan.

    Attributes:
        rows: Of the scan.
        columns: Of the scan.
        data: The rectangle, its missing pixels filled with the nearest measured ones, [h, w].
    """

    rows: slice
    columns: slice
    data: Array

    def embed(self, values: Array, mask: NDArray[np.bool_]) -> Array:
        """Put values [h, w] into the whole scan.

        Args:
            values: For the pixels of the rectangle, [h, w].
            mask: True where the scan was measured, [H, W].

        Returns:
            [H, W]; NaN where the scan was not measured.
        """
        whole = np.full(mask.shape, np.nan)
        whole[self.rows, self.columns] = values
        return np.where(mask, whole, np.nan)


def measured_part(scan: Scan) -> MeasuredPart:
    """Cut out the measured rectangle of a scan and fill its gaps.

    Raises:
        ScanError: If no pixel was measured.
    """
    lines = [np.flatnonzero(scan.mask.any(axis=axis)) for axis in (1, 0)]
    if lines[0].size == 0:
        raise ScanError(f"{scan.name or 'image'}: no pixel was measured.")
    rows, columns = (slice(int(line[0]), int(line[-1]) + 1) for line in lines)
    data = fill_nearest(scan.data[rows, columns], scan.mask[rows, columns])
    return MeasuredPart(rows, columns, data)
