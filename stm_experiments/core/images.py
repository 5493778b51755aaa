"""Checks and repairs of single images."""

import math
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from stm_experiments.core.files import PICTURE_BYTES, PICTURE_PIXELS, open_regular

Number = TypeVar("Number", bound=np.generic)


# From the median, ranges of the 1st to 99th percentile: converters of microscopes have 20 bits.
_ABSURD = 1e6
# Of the largest value: float32 keeps 6e-8 of a value.
_ROUNDING = 1e-9


class ImageError(ValueError):
    """An image that cannot be used; the message is one sentence that names it."""


def check_image(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return an image as float64: the array itself if it is that already.

    Args:
        array: [H, W] real numbers.
        name: The image's name in error messages.

    Raises:
        ImageError: If it is constant, empty, not finite, not real or not two-dimensional.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise ImageError(f"{name}: holds {array.dtype} values, expected real numbers.")
    if array.size == 0:
        raise ImageError(f"{name}: empty, shape {array.shape}.")
    if array.ndim != 2:
        raise ImageError(f"{name}: has shape {array.shape}, expected one image (height, width).")
    with np.errstate(over="ignore"):
        image = array.astype(np.float64, copy=False)
        largest = float(max(image.max(), -image.min()))
        span = image.max() - image.min()
    bad = image.size - np.count_nonzero(np.isfinite(image))
    if bad:
        raise ImageError(f"{name}: {bad} of {image.size} pixels are NaN or infinite.")
    if not span / 2 < math.inf:
        raise ImageError(f"{name}: beyond the range of float64 around {image.flat[0]:g}.")
    if is_rounding(span, largest):
        raise ImageError(f"{name}: constant, every pixel is {image.flat[0]:g} to within rounding.")
    return image


def is_rounding(span: float, largest: float) -> bool:
    """Return whether an image varies so little that only the rounding of its values is left.

    Args:
        span: Difference of its largest and least value, of what is left of it without its plane.
        largest: Largest absolute value of the image or of its plane.
    """
    return not span > _ROUNDING * largest


def read_picture(path: Path) -> Image.Image:
    """Read a PNG picture in colour.

    Raises:
        ValueError: If it cannot be read, is no regular PNG file or has too many bytes or pixels;
            the message names it.
    """
    with open_regular(path, PICTURE_BYTES) as file:
        try:
            with Image.open(file, formats=["PNG"]) as picture:
                pixels = picture.width * picture.height
                if pixels > PICTURE_PIXELS:
                    raise ValueError(f"it has {pixels} pixels, at most {PICTURE_PIXELS} are read")
                return picture.convert("RGB")
        except Exception as error:  # damaged files make decoders raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{path} cannot be shown: {reason}") from error


def find_absurd(image: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the pixels that lie so far from all others that no microscope can have recorded both.

    Args:
        image: [H, W].
        mask: True for the pixels that count, all of them finite, [H, W].

    Returns:
        [H, W]; True for at most one pixel in 50.
    """
    absurd = np.zeros(image.shape, bool)
    values = image[mask]
    if not values.size:
        return absurd
    low, middle, high = np.percentile(values[:: max(1, values.size // 2**20)], (1, 50, 99))
    with np.errstate(over="ignore"):
        reach = _ABSURD * (high - low)
        if 0 < reach < np.inf and max(values.max() - middle, middle - values.min()) > reach:
            absurd = mask & (np.abs(image - middle) > reach)
    return absurd


def fill_nearest(image: NDArray[Number], mask: NDArray[np.bool_]) -> NDArray[Number]:
    """Fill missing pixels with the value of the nearest measured one.

    Args:
        image: [H, W].
        mask: True where measured, [H, W]; at least one pixel.

    Returns:
        [H, W]; the image itself if no pixel is missing.
    """
    if mask.all():
        return image
    nearest: Any = ndimage.distance_transform_edt(
        ~mask, return_distances=False, return_indices=True
    )
    filled: NDArray[Number] = image[tuple(nearest)]
    return filled
