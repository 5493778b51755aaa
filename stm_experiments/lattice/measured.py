"""The pixels of a scan or an array in which a lattice or defects are searched for."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from stm_experiments.core.images import find_absurd
from stm_experiments.io.scan import Scan, ScanError, check_pixel_size

_WINDOWS = 5  # along each axis of which the fullest is taken


class Measured(NamedTuple):
    """An image and what is known of its pixels.

    Attributes:
        data: [H, W] float64.
        mask: True where measured, [H, W]; None: everywhere.
        pixel_nm: Size of a pixel along axes 0 and 1, nm; None: unknown.
    """

    data: NDArray[np.float64]
    mask: NDArray[np.bool_] | None
    pixel_nm: tuple[float, float] | None


def as_measured(
    image: Scan | ArrayLike,
    mask: ArrayLike | None = None,
    pixel_nm: tuple[float, float] | None = None,
) -> Measured:
    """Return the data, mask and pixel size of a scan or an array; arguments go before the scan's.

    Pixels absurdly far from all others (``find_absurd``) count as not measured.

    Args:
        image: A scan, or [H, W] real numbers; what a masked array masks was not measured.
        mask: True where measured, [H, W]; None: the scan's mask, or everywhere.
        pixel_nm: Size of a pixel along axes 0 and 1, nm; None: the scan's, or unknown.

    Raises:
        ScanError: If the mask has another shape, or the size of a pixel is not two finite numbers
            above 0.
    """
    data: ArrayLike = image.data if isinstance(image, Scan) else image
    if isinstance(image, Scan):
        mask = image.mask if mask is None else mask
        pixel_nm = image.pixel_size if pixel_nm is None else pixel_nm
    if mask is None and isinstance(data, np.ma.MaskedArray):
        mask = ~np.ma.getmaskarray(data)
    check_pixel_size(pixel_nm)
    pixels = np.array(data, dtype=np.float64)
    valid = np.isfinite(pixels)
    if mask is not None:
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != pixels.shape:
            raise ScanError(f"a mask of shape {mask.shape} for an image of {pixels.shape}.")
        valid &= mask
    absurd = find_absurd(pixels, valid)
    if absurd.any():
        mask = valid & ~absurd
    return Measured(pixels, mask, pixel_nm)


def fullest_window(mask: NDArray[np.bool_], side: int) -> tuple[slice, slice]:
    """Return the part of an image that holds most measured pixels; of equal ones the middle one.

    Args:
        mask: True where measured, [H, W].
        side: Largest height and width of the part, px.
    """
    sides = [min(length, side) for length in mask.shape]
    share = ndimage.uniform_filter(mask.astype(np.float32), sides)
    middles = [
        np.unique(np.linspace(width // 2, length - (width + 1) // 2, _WINDOWS).round().astype(int))
        for length, width in zip(mask.shape, sides, strict=True)
    ]
    full = share[np.ix_(*middles)].round(3)
    rows, columns = np.nonzero(full == full.max())
    away = [middles[0][rows] - mask.shape[0] / 2, middles[1][columns] - mask.shape[1] / 2]
    best = int(np.hypot(*away).argmin())
    middle = middles[0][rows[best]], middles[1][columns[best]]
    starts = [int(place) - width // 2 for place, width in zip(middle, sides, strict=True)]
    down, across = (slice(start, start + width) for start, width in zip(starts, sides, strict=True))
    return down, across
