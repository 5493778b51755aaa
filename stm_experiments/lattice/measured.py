"""The pixels of a scan or an array in which a lattice or defects are searched for."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stm_experiments.core.images import find_absurd
from stm_experiments.io.scan import Scan, ScanError, check_pixel_size


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
