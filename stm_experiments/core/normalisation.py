"""The affine maps of images to [-1, 1] and back."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.core.arrays import AnyArray
from stm_experiments.core.images import ImageError, check_image, is_rounding
from stm_experiments.core.planes import centred_axes, fit_plane


class AffineMap(NamedTuple):
    """The map image = scale * x + shift + plane, in the image's units.

    Attributes:
        scale: Units per unit of x.
        shift: Units at x = 0.
        row_slope: Tilt of the plane along axis 0, units per px.
        column_slope: Tilt of the plane along axis 1, units per px.
    """

    scale: float
    shift: float
    row_slope: float = 0.0
    column_slope: float = 0.0


class Normalised(NamedTuple):
    """An image on [-1, 1].

    Attributes:
        image: [H, W] float32.
        affine: The map back to the image's units.
    """

    image: NDArray[np.float32]
    affine: AffineMap


def normalise_minmax(image: AnyArray, name: str = "image") -> Normalised:
    """Map an image to [-1, 1]: x = 2 (I - min) / (max - min) - 1.

    Equation 1 of Binev et al., "STM image analysis using autoencoders", computed in float64.

    Args:
        image: [H, W] real numbers, any unit.
        name: The image's name in error messages.

    Returns:
        The image with minimum -1 and maximum 1, and the map (scale, shift) back.

    Raises:
        ImageError: If the image is constant, empty, not finite, not real or not two-dimensional.
    """
    image = check_image(image, name)
    low, high = image.min(), image.max()
    x = 2 * ((image - low) / (high - low)) - 1
    scale = float(high - low) / 2
    return Normalised(x.astype(np.float32), AffineMap(scale, float(low) + scale))


def normalise_plane(image: AnyArray, name: str = "image") -> Normalised:
    """Map a scan's corrugation to about [-1, 1], whatever its tilt and scars.

    The least-squares plane of all pixels but outliers is subtracted, then the 1st and 99th
    percentiles become -1 and 1; pixels beyond them lie outside of [-1, 1]. An outlier lies more
    than that range away from its middle.

    Args:
        image: [H, W] real numbers, any unit.
        name: The image's name in error messages.

    Returns:
        The image and the map back.

    Raises:
        ImageError: As ``normalise_minmax``, or if the image is nothing but a plane.
    """
    image = check_image(image, name)
    rows, columns = centred_axes(image.shape)
    kept = np.ones(image.shape, dtype=bool)
    flat, away = np.empty_like(image), np.empty_like(image)  # of a large scan half a GiB each
    for _ in range(2):  # the second time without scars and spikes, which tilt a least-squares plane
        plane = fit_plane(image, kept)
        np.subtract(image, plane.row_slope * rows, out=flat)
        flat -= plane.column_slope * columns
        low, high = np.percentile(flat, (1, 99))
        np.subtract(flat, (low + high) / 2, out=away)
        kept = np.abs(away, out=away) <= high - low
    if is_rounding(float(high - low), float(max(np.ptp(image), abs(high)))):
        raise ImageError(f"{name}: nothing but a plane.")
    scale = float(high - low) / 2
    flat -= low
    flat /= scale
    flat -= 1
    affine = AffineMap(scale, float(low) + scale, plane.row_slope, plane.column_slope)
    return Normalised(flat.astype(np.float32), affine)


def denormalise(x: AnyArray, affine: AffineMap) -> NDArray[np.float64]:
    """Map [H, W] from [-1, 1] back to the image's units, in float64."""
    image = np.multiply(x, affine.scale, dtype=np.float64)
    image += affine.shift
    if affine.row_slope == affine.column_slope == 0.0:
        return image
    rows, columns = centred_axes(image.shape)
    image += affine.row_slope * rows
    image += affine.column_slope * columns
    return image


# The maps to [-1, 1] by their names in configs and model cards.
NORMALISATIONS: dict[str, Callable[..., Normalised]] = {
    "minmax": normalise_minmax,
    "plane": normalise_plane,
}
