"""Least-squares planes and polynomials of second degree, of the measured pixels of an image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stm_experiments.core.arrays import Array, Mask

_BLOCK = 2**14  # px that a fit takes at a time: they stay in the processor's cache


class Plane(NamedTuple):
    """The plane level + row_slope * row + column_slope * column, counted from the image's centre.

    Attributes:
        level: Height at the centre, units of the image.
        row_slope: Units per px along axis 0.
        column_slope: Units per px along axis 1.
    """

    level: float
    row_slope: float
    column_slope: float

    def heights(self, shape: tuple[int, ...]) -> Array:
        """Return the plane's heights on an image of this shape, [H, W]."""
        rows, columns = centred_axes(shape)
        return self.level + self.row_slope * rows + self.column_slope * columns


class Polynomial(NamedTuple):
    """A fitted polynomial without its mean.

    Attributes:
        heights: Its values less their mean over the measured pixels, [H, W].
        coefficients: Of the terms row^i column^j, both counted from -1 to 1, in their order.
    """

    heights: Array
    coefficients: Array


def centred_axes(shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return rows [H, 1] and columns [1, W] counted from the centre of an image, px."""
    height, width = shape
    rows = np.arange(height, dtype=np.float64)[:, None] - (height - 1) / 2
    columns = np.arange(width, dtype=np.float64)[None, :] - (width - 1) / 2
    return rows, columns


def fit_plane(image: NDArray[np.floating], mask: Mask | None = None) -> Plane:
    """Fit a plane by least squares, in little memory besides the image's.

    The rows of the equations are brought to a triangle block by block, which has the solution of
    all of them.

    Args:
        image: [H, W], finite where measured.
        mask: True for the pixels that count, [H, W]; None: all.

    Returns:
        The plane; of pixels that do not determine one, the one of least slopes and level.
    """
    rows, columns = (np.broadcast_to(axis, image.shape) for axis in centred_axes(image.shape))
    step = max(1, _BLOCK // image.shape[1])
    triangle = np.zeros((4, 4))
    for start in range(0, len(image), step):
        block = slice(start, start + step)
        part = image[block]
        terms = np.stack([rows[block], columns[block], np.ones(part.shape), part], axis=-1)
        measured = terms.reshape(-1, 4) if mask is None else terms[mask[block]]
        stacked = np.concatenate([triangle, measured])
        triangle = np.asarray(np.linalg.qr(stacked, mode="r"), np.float64)
    cutoff = np.finfo(float).eps * image.size
    solution = np.linalg.lstsq(triangle[:, :3], triangle[:, 3], rcond=cutoff)[0]
    row_slope, column_slope, level = map(float, solution)
    return Plane(level, row_slope, column_slope)


def subtract_plane(image: Array, mask: Mask | None = None) -> Array:
    """Return an image [H, W] less the least-squares plane of its measured pixels."""
    return image - fit_plane(image, mask).heights(image.shape)


def fit_polynomial(image: Array, mask: Mask, powers: Sequence[tuple[int, int]]) -> Polynomial:
    """Fit a polynomial by least squares.

    Its axes run from -1 to 1 between the image's edges: the normal equations are well conditioned
    there, and they need no matrix of all pixels.

    Args:
        image: [H, W].
        mask: True for the pixels that count, [H, W].
        powers: (i, j) of each term row^i column^j besides the constant.
    """
    rows, columns = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in image.shape)
    terms = [np.multiply.outer(rows**i, columns**j) for i, j in ((0, 0), *powers)]
    products = np.array([[np.sum(a * b, where=mask) for b in terms] for a in terms])
    sums = np.array([np.sum(image * a, where=mask) for a in terms])
    coefficients = np.linalg.lstsq(products, sums, rcond=None)[0][1:]
    surface = sum((c * t for c, t in zip(coefficients, terms[1:], strict=True)), np.zeros(1))
    return Polynomial(surface - surface[mask].mean(), coefficients)
