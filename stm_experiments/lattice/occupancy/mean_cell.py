"""The mean cell of a lattice: what repeats, followed through the distortion of an image."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from stm_experiments.core.arrays import AnyArray, Array, Mask

_ENOUGH = 1_000_000  # pixels of which the mean is taken
_NODES = 0.5  # distance of the points on which the displacement is interpolated, spacings
_NEIGHBOURS = 4  # sites that tell the displacement of a point
_SOFT = 0.3  # distance that is added to theirs, spacings
_FAR = 1.2  # greatest distance of a point from a site, spacings
_ROWS = 256  # of an image that are laid out at a time, to bound the memory


class Layout(NamedTuple):
    """Where the sites of a lattice lie in an image. S sites.

    Attributes:
        vectors: Of the undistorted lattice, (row, column) each, [2, 2] px.
        ideal: Sites of the undistorted lattice, (row, column), [S, 2] px.
        place: The same sites in the image, [S, 2] px.
        spacing: Distance of nearest neighbours, px.
    """

    vectors: Array
    ideal: Array
    place: Array
    spacing: float


class MeanCell(NamedTuple):
    """What repeats with a lattice's cell in an image.

    Attributes:
        values: Of the cell, on a grid along its vectors, [n, m].
        reciprocal: Columns turn a position (row, column) into cells, [2, 2] 1/px.
        displacement: Of the lattice, on a grid over the image, [2, h, w] px.
        near: Whether a site is near, on the same grid, [h, w].
        step: Of this grid along axes 0 and 1, [2] px.
    """

    values: Array
    reciprocal: Array
    displacement: Array
    near: Mask
    step: Array

    def at(self, points: Array) -> Array:
        """Return the mean cell at points (row, column) [P, 2] px; NaN far from all sites, [P]."""
        fractions, near = self.locate(points)
        place = (fractions * self.values.shape - 0.5).T
        values = ndimage.map_coordinates(self.values, place, order=1, mode="grid-wrap")
        return np.asarray(np.where(near, values, np.nan))

    def locate(self, points: Array) -> tuple[Array, Mask]:
        """Return the places [P, 2] of points in the cell, 0 to 1, and which are near a site."""
        grid = (points / self.step).T
        moved = [
            ndimage.map_coordinates(field, grid, order=1, mode="nearest")
            for field in self.displacement
        ]
        near = ndimage.map_coordinates(self.near.astype(float), grid, order=1, mode="nearest") > 0.5
        return (points - np.stack(moved, 1)) @ self.reciprocal % 1, near

    def lay_out(self, shape: tuple[int, int]) -> Array:
        """Return the mean cell over a whole image; NaN far from all sites, [H, W]."""
        blocks = []
        for start in range(0, shape[0], _ROWS):
            rows = np.arange(start, min(start + _ROWS, shape[0]))
            blocks.append(self.at(_points(rows, np.arange(shape[1]))).reshape(len(rows), -1))
        return np.concatenate(blocks)


def average_cell(image: Array, valid: Mask, layout: Layout) -> MeanCell:
    """Average an image over the cells of a lattice.

    Args:
        image: [H, W].
        valid: Which pixels are averaged, [H, W].
        layout: Of the lattice, with at least four sites.
    """
    shape = np.array(image.shape)
    nodes = np.ceil((shape - 1) / (_NODES * layout.spacing)).astype(int) + 1
    step = (shape - 1) / np.maximum(nodes - 1, 1)
    points = _points(*(np.arange(n) * s for n, s in zip(nodes, step, strict=True)))
    distance, index = KDTree(layout.place).query(points, _NEIGHBOURS)
    weight = 1 / (distance**2 + (_SOFT * layout.spacing) ** 2)
    moved = (layout.place - layout.ideal)[index]
    displacement = (weight[..., None] * moved).sum(1) / weight.sum(1)[:, None]
    near = distance[:, 0] < _FAR * layout.spacing
    sides = np.maximum(4, np.ceil(np.linalg.norm(layout.vectors, axis=1))).astype(int)
    empty = MeanCell(
        np.zeros(sides),
        np.asarray(np.linalg.inv(layout.vectors), np.float64),
        displacement.T.reshape(2, *nodes),
        near.reshape(nodes),
        step,
    )
    stride = int(np.ceil(np.sqrt(image.size / _ENOUGH)))
    rows, columns = (np.arange(0, side, stride) for side in image.shape)
    fractions, near = empty.locate(_points(rows, columns))
    used = near & valid[::stride, ::stride].ravel()
    cell = (fractions * sides).astype(int) % sides
    number = (cell[:, 0] * sides[1] + cell[:, 1])[used]
    values = image[::stride, ::stride].ravel()[used]
    counts, sums = (
        ndimage.gaussian_filter(
            np.bincount(number, weights, sides.prod()).reshape(sides), 0.5, mode="wrap"
        )
        for weights in (None, values)
    )
    return empty._replace(values=sums / np.maximum(counts, 1e-9))


def _points(rows: AnyArray, columns: AnyArray) -> Array:
    """Return all positions (row, column) of a grid, [P, 2]."""
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.stack(grid, -1).reshape(-1, 2).astype(float)
