"""Steps that change which part of the sample a scan shows, and on which grid."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stm_experiments.core.arrays import Array
from stm_experiments.core.images import fill_nearest
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.steps.arguments import numbers, region, whole_numbers

WHOLE = 0.99  # least weight of measured pixels of a pixel that counts as measured
MOST_PIXELS = 2**28


def crop(scan: Scan, argument: Any) -> Scan:
    """Cut out a region.

    Raises:
        ValueError: If it does not lie in the scan, or holds no measured pixel.
    """
    top, left, height, width = region(argument, "crop")
    rows, columns = scan.data.shape
    if top + height > rows or left + width > columns:
        raise ValueError(
            f"prepare: the region {argument!r} is not inside of the scan of {rows} x {columns} px"
        )
    cut = (slice(top, top + height), slice(left, left + width))
    if not scan.mask[cut].any():
        raise ValueError(f"prepare: nothing was measured in the region {argument!r}")
    sentence = f"cut to rows {top} to {top + height - 1}, columns {left} to {left + width - 1}"
    return _on_new_grid(
        scan, scan.data[cut].copy(), scan.mask[cut].copy(), scan.pixel_size, sentence
    )


def mask_region(scan: Scan, argument: Any) -> Scan:
    """Take a region out: its pixels count as not measured.

    Raises:
        ValueError: If nothing would be left.
    """
    top, left, height, width = region(argument, "mask")
    mask = scan.mask.copy()
    mask[top : top + height, left : left + width] = False
    if not mask.any():
        raise ValueError(f"prepare: the region {argument!r} leaves nothing of the scan")
    taken = int((scan.mask & ~mask).sum())
    sentence = f"region {[top, left, height, width]} taken out: {taken} pixels"
    return replace(scan, mask=mask).with_data(scan.data, sentence)


def resample(scan: Scan, argument: Any) -> Scan:
    """Bring a scan to another number of pixels.

    Args:
        scan: Of any pixel size.
        argument: [rows, columns], or the size of a square pixel in nm.

    Raises:
        ValueError: If the size of the scan's pixels is needed and not known, or the result is too
            large.
    """
    sides = resampled_sides(argument)
    old = scan.data.shape
    if len(sides) == 2:
        shape = [int(side) for side in sides]
    elif scan.pixel_size is None:
        raise ValueError("prepare: resample to a size in nm needs a scan of known pixel size")
    else:
        shape = [round(n * p / sides[0]) for n, p in zip(old, scan.pixel_size, strict=True)]
    if min(shape) < 2 or shape[0] * shape[1] > MOST_PIXELS:
        raise ValueError(f"prepare: resample would give {shape[0]} x {shape[1]} px")
    # Pixels are areas: their centres lie half a pixel inside of the frame.
    ratios = np.array(old) / np.array(shape)
    matrix, offset = np.diag(ratios), ratios / 2 - 0.5
    data = fill_nearest(scan.data, scan.mask)
    blurs = np.maximum(ratios - 1, 0) / 2  # what is finer than the new grid goes
    data = ndimage.gaussian_filter(data, blurs, mode="nearest") if blurs.any() else data
    values = _transformed(data, matrix, offset, shape, order=3)
    weights = _transformed(scan.mask.astype(float), matrix, offset, shape, order=1)
    size = None
    if scan.pixel_size is not None:
        size = (float(scan.pixel_size[0] * ratios[0]), float(scan.pixel_size[1] * ratios[1]))
    sentence = f"resampled from {old[0]} x {old[1]} px to {shape[0]} x {shape[1]} px"
    return _on_new_grid(scan, values, weights > WHOLE, size, sentence)


def resampled_sides(argument: Any) -> list[float]:
    """Return the argument of ``resample``: one size in nm, or two numbers of px.

    Raises:
        ValueError: If it is neither.
    """
    meaning = "[rows, columns] in px, or the size of a pixel in nm"
    if isinstance(argument, list | tuple):
        sides = [float(n) for n in whole_numbers(argument, 2, "resample", meaning)]
    else:
        sides = numbers(argument, 1, "resample", meaning)
    if min(sides) <= 0:
        raise ValueError(f"prepare: resample takes {meaning}, not {argument!r}")
    return sides


def apply_map(scan: Scan, map_px: Array, sentence: str) -> Scan:
    """Bring a scan into a frame in which pixel p lies at ``map_px @ p``.

    Args:
        scan: Of square or other pixels, whose size stays.
        map_px: [2, 2], of (row, column).
        sentence: For the history.
    """
    height, width = scan.data.shape
    corners = np.array([[0, 0], [0, width - 1], [height - 1, 0], [height - 1, width - 1]], float)
    placed = corners @ map_px.T
    first = placed.min(axis=0)
    shape = [int(side) for side in np.floor(placed.max(axis=0) - first + 1e-6) + 1]
    if shape[0] * shape[1] > MOST_PIXELS:
        raise ValueError(f"prepare: the corrected scan would have {shape[0]} x {shape[1]} px")
    inverse = np.asarray(np.linalg.inv(map_px), np.float64)
    offset = np.asarray(inverse @ first, np.float64)
    data = fill_nearest(scan.data, scan.mask)
    values = _transformed(data, inverse, offset, shape, order=3)
    inside = _transformed(scan.mask.astype(float), inverse, offset, shape, order=1, outside=0.0)
    return _on_new_grid(scan, values, inside > WHOLE, scan.pixel_size, sentence)


def _transformed(
    image: NDArray[np.float64],
    matrix: Array,
    offset: Array,
    shape: list[int],
    *,
    order: int,
    outside: float | None = None,
) -> Array:
    """Sample an image at matrix @ place + offset for each place of the new grid."""
    mode, fill = ("nearest", 0.0) if outside is None else ("constant", outside)
    level = float(image.mean())
    moved = ndimage.affine_transform(
        image - level, matrix, offset, tuple(shape), order=order, mode=mode, cval=fill - level
    )
    return np.asarray(moved + level)


def _on_new_grid(
    scan: Scan,
    data: Array,
    mask: NDArray[np.bool_],
    pixel_size: tuple[float, float] | None,
    sentence: str,
) -> Scan:
    filled = np.where(mask, data, np.median(data[mask]))
    return replace(
        scan,
        data=filled,
        mask=mask,
        pixel_size=pixel_size,
        history=(*scan.history, sentence),
        source=None,
    )
