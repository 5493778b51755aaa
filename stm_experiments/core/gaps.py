"""Pixels that were not measured."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Number = TypeVar("Number", bound=np.generic)


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
