"""Standard errors of a lattice."""

from typing import NamedTuple

import numpy as np

from stm_experiments.core.arrays import Array, Indices
from stm_experiments.core.units import with_error

_STRIPS = 10  # of rows; fewer if rows far apart are shifted alike, more for independent ones
_PLACING = 0.006  # error of a maximum between pixels that is there without noise, px


class Cell(NamedTuple):
    """Lengths and angle of two lattice vectors, with standard errors.

    Attributes:
        lengths: In the unit of the vectors, [2].
        length_errors: [2].
        angle: Degrees.
        angle_error: Degrees.
    """

    lengths: Array
    length_errors: Array
    angle: float
    angle_error: float

    def words(self, unit: str) -> list[str]:
        """Return the lengths, in a unit, and the angle as phrases."""
        sides = zip("ab", self.lengths, self.length_errors, strict=True)
        return [
            *(f"{name} = {with_error(side, error, f' {unit}')}" for name, side, error in sides),
            with_error(self.angle, self.angle_error, "°"),
        ]


def measure_cell(vectors: Array, covariance: Array) -> Cell:
    """Return lengths and angle of vectors [2, 2] with the covariance of their errors [4, 4]."""
    lengths = np.linalg.norm(vectors, axis=1)
    cosine = vectors[0] @ vectors[1] / lengths.prod()
    return Cell(
        lengths,
        length_errors(vectors, covariance),
        float(np.degrees(np.arccos(cosine))),
        angle_error(vectors, covariance),
    )


def vector_covariance(cell: Indices, kind: Indices, place: Array, rows: int) -> Array:
    """Return the covariance of the vectors that ``fit_mean_lattice`` finds, [4, 4] px^2.

    Atoms that were scanned one after the other share the distortion of the scan, so that their
    errors are not independent. So the image is cut into strips of rows, the lattice is fitted
    without each strip in turn, and the scatter of these fits is the measure (the jackknife). A few
    fits tell their scatter badly: it is widened to the one of Student's t.

    Args:
        cell: [A, 2].
        kind: [A].
        place: Positions (row, column), [A, 2] px.
        rows: Of the image, px.

    Returns:
        In the order a1 row, a1 column, a2 row, a2 column.
    """
    terms = np.concatenate([cell, np.eye(kind.max() + 1)[kind]], 1)
    _, number = np.unique((place[:, 0] / rows * _STRIPS).astype(int), return_inverse=True)
    strips = number.max() + 1
    squares = np.zeros((strips, terms.shape[1], terms.shape[1]))
    products = np.zeros((strips, terms.shape[1], 2))
    for one in range(strips):
        inside = number == one
        squares[one] = terms[inside].T @ terms[inside]
        products[one] = terms[inside].T @ place[inside]
    rest, right = squares.sum(0) - squares, products.sum(0) - products
    fits = (np.linalg.pinv(rest, hermitian=True) @ right)[:, :2].reshape(strips, 4)
    apart = fits - fits.mean(0)
    student = (strips - 1) / max(strips - 3, 1)
    covariance: Array = student * (strips - 1) / strips * apart.T @ apart
    return covariance


def placing_covariance(cell: Indices, kind: Indices) -> Array:
    """Return the covariance of the vectors that the placing of maxima between pixels causes.

    It is what is left where an image has no noise: neighbouring strips of it then agree by far
    better than they are right.

    Args:
        cell: [A, 2].
        kind: [A].

    Returns:
        As of ``vector_covariance``.
    """
    terms = np.concatenate([cell, np.eye(kind.max() + 1)[kind]], 1)
    inverse = np.linalg.pinv(terms.T @ terms, hermitian=True)[:2, :2]
    return np.asarray(_PLACING**2 * np.kron(inverse, np.eye(2)))


def length_errors(vectors: Array, covariance: Array) -> Array:
    """Return the standard errors of the lengths of vectors [2, 2], [2]."""
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    parts = np.stack([covariance[:2, :2], covariance[2:, 2:]])
    return np.asarray(np.sqrt(np.einsum("vi,vij,vj->v", unit, parts, unit)))


def angle_error(vectors: Array, covariance: Array) -> float:
    """Return the standard error of the angle between vectors [2, 2], degrees."""
    turn = np.stack([-vectors[:, 1], vectors[:, 0]], 1) / (vectors**2).sum(1)[:, None]
    slope = np.concatenate([-turn[0], turn[1]])
    return float(np.degrees(np.sqrt(slope @ covariance @ slope)))


def reciprocal_errors(vectors: Array, covariance: Array) -> Array:
    """Return the standard errors of the reciprocal vectors (without 2 pi), [2, 2]."""
    reciprocal = np.linalg.inv(vectors).T
    # A change d of the vectors changes the reciprocal ones by -reciprocal d^T reciprocal.
    slopes = -np.einsum("ij,kl->iljk", reciprocal, reciprocal).transpose(0, 1, 3, 2)
    flat = slopes.reshape(4, 4)
    return np.sqrt(np.diag(flat @ covariance @ flat.T)).reshape(2, 2)
