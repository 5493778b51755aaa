"""Scans from whatever a user has, and the part of a scan that a network receives."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from stm_experiments.core.arrays import Array
from stm_experiments.core.images import fill_nearest, find_absurd
from stm_experiments.core.normalisation import AffineMap
from stm_experiments.io import read_scan
from stm_experiments.io.scan import Scan, ScanError, check_pixel_size


def as_scan(scan: Scan | str | Path | ArrayLike) -> Scan:
    """Return a scan, read it from a file, or make it of an array [H, W].

    NaN and infinite pixels count as not measured, and so do those that a masked array masks and
    those so far from all others that no microscope can have recorded both; the history says so.

    Raises:
        ScanError: If the argument is none of these, or the size of its pixels is impossible.
    """
    if isinstance(scan, Scan):
        check_pixel_size(scan.pixel_size)
        finite = scan.mask & np.isfinite(scan.data)
        unchanged = finite.all() or not finite.any()
        return _without_absurd(scan if unchanged else replace(scan, mask=finite))
    if isinstance(scan, str | Path):
        return _without_absurd(read_scan(scan))
    if isinstance(scan, Tensor):
        tensor = scan.detach().cpu()
        data = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    else:
        data = np.ma.getdata(scan)
    if data.ndim != 2 or data.dtype.kind not in "biuf":
        raise ScanError(
            f"image: expected real numbers [H, W], not {data.dtype} of shape {list(data.shape)}."
        )
    mask = np.isfinite(data) & ~np.ma.getmaskarray(scan if np.ma.isMA(scan) else data)
    if not mask.any():
        raise ScanError("image: no pixel is a finite number, or all are masked.")
    filled = np.where(mask, data, np.median(data[mask])).astype(np.float64)
    return _without_absurd(Scan(filled, mask, "", None, ""))


def _without_absurd(scan: Scan) -> Scan:
    """Mask the pixels of a scan that lie absurdly far from all others."""
    absurd = find_absurd(scan.data, scan.mask)
    if not absurd.any():
        return scan
    count = int(absurd.sum())
    sentence = (
        f"{count} pixel{'s' if count > 1 else ''} counted as not measured: more than a million "
        "times the range from the 1st to the 99th percentile away from the median"
    )
    data = np.where(absurd, np.median(scan.data[scan.mask & ~absurd]), scan.data)
    return replace(scan, data=data, mask=scan.mask & ~absurd, history=(*scan.history, sentence))


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
            [H, W]; NaN where the scan was not measured. The values themselves if it was everywhere.
        """
        if mask.all():
            return np.asarray(values, np.float64)
        whole = np.full(mask.shape, np.nan)
        whole[self.rows, self.columns] = values
        whole[~mask] = np.nan
        return whole

    def recentred(self, affine: AffineMap, shape: tuple[int, ...]) -> AffineMap:
        """Return a map of the rectangle whose tilt counts from the centre of the whole scan."""
        away = [  # of the scan's centre from the rectangle's, px
            (side - 1) / 2 - (part.start + part.stop - 1) / 2
            for side, part in zip(shape, (self.rows, self.columns), strict=True)
        ]
        shift = affine.shift + affine.row_slope * away[0] + affine.column_slope * away[1]
        return affine._replace(shift=shift)


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
