"""Plane lattices that the simulator does not have: cells, atoms with jitter and strain, heights."""

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from stm_experiments.core.arrays import Array, Indices, Points

Shape = tuple[int, int]
Range = tuple[float, float]

_CHUNK = 1 << 21  # pixels of atoms that are drawn at a time: bounds the memory
_REACH = 4.0  # standard deviations to which an atom is drawn


@dataclass(frozen=True)
class Cell:
    """A kind of plane lattice.

    Attributes:
        period: Range of the length of the first lattice vector, px.
        ratio: Range of the second vector's length over the first's.
        angle: Range of the angle between them, degrees.
        motif: Row, column and height of each atom; places as fractions of the two vectors.
        free: Number of atoms that are drawn at random instead of a motif; 0: none.
    """

    period: Range
    ratio: Range = (1.0, 1.0)
    angle: Range = (90.0, 90.0)
    motif: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 1.0),)
    free: int = 0


_EQUAL, _HEXAGONAL = (1.0, 1.0), (120.0, 120.0)
_HONEYCOMB = ((0.0, 0.0, 1.0), (1 / 3, 2 / 3, 1.0))
_KAGOME = ((0.0, 0.0, 1.0), (0.5, 0.0, 1.0), (0.0, 0.5, 1.0))
_LIEB = ((0.0, 0.0, 1.0), (0.5, 0.0, 0.6), (0.0, 0.5, 0.6))
# Two dumbbells at right angles, related by a glide line.
_HERRINGBONE = ((0.1, 0.1, 1.0), (0.9, 0.9, 1.0), (0.4, 0.6, 1.0), (0.6, 0.4, 1.0))
_FIVE = ((0.0, 0.0, 1.0), (0.25, 0.2, 0.7), (0.75, 0.2, 0.7), (0.5, 0.5, 0.85), (0.3, 0.75, 0.6))

CELLS = {
    "hexagonal_5_8px": Cell((5, 8), _EQUAL, _HEXAGONAL),
    "square_9px": Cell((9, 9)),
    "honeycomb_9_13px": Cell((9, 13), _EQUAL, _HEXAGONAL, _HONEYCOMB),
    "oblique": Cell((9, 20), (1.1, 1.6), (75, 110)),
    "kagome": Cell((14, 24), _EQUAL, _HEXAGONAL, _KAGOME),
    "lieb": Cell((14, 26), motif=_LIEB),
    "herringbone": Cell((18, 34), (0.8, 1.3), motif=_HERRINGBONE),
    "rows": Cell((7, 11), (1.8, 2.4)),
    "motif": Cell((18, 32), (0.9, 1.5), (70, 110), free=4),
    "square_30_60px": Cell((30, 60)),
    "hexagonal_30_60px": Cell((30, 60), _EQUAL, _HEXAGONAL),
    "five_atoms_30_60px": Cell((30, 60), (0.9, 1.2), (80, 100), motif=_FIVE),
}


@dataclass(frozen=True)
class AtomSheet:
    """The atoms of a plane lattice in an image.

    Attributes:
        places: Row and column of each, px, [A, 2].
        heights: Of each, [A].
        width: Standard deviation of their Gaussians, px.
        vectors: The two lattice vectors, px, [2, 2].
        spacing: Distance of nearest neighbours, px.
    """

    places: Points
    heights: Array
    width: float
    vectors: Array
    spacing: float

    def inside(self, shape: Shape, margin: float) -> Indices:
        """Return the indices of the atoms at least ``margin`` px from the border."""
        far = ((self.places >= margin) & (self.places <= np.subtract(shape, 1 + margin))).all(1)
        return np.flatnonzero(far)

    def with_heights(self, heights: Array) -> "AtomSheet":
        """Return the same atoms with other heights."""
        return replace(self, heights=heights)


def draw_atoms(cell: Cell, rng: np.random.Generator, shape: Shape) -> AtomSheet:
    """Draw a lattice of a kind: period, angle, origin, jitter and strain.

    Jitter is 1 to 3 % of the nearest neighbours' distance (standard deviation along each axis), the
    strain at most 1 %.

    Args:
        cell: The kind.
        rng: Random stream.
        shape: Of the image, px.
    """
    first, turn = rng.uniform(*cell.period), rng.uniform(0, 2 * math.pi)
    second = first * rng.uniform(*cell.ratio)
    angle = turn + math.radians(rng.uniform(*cell.angle))
    vectors = np.array(
        [
            [first * math.cos(turn), first * math.sin(turn)],
            [second * math.cos(angle), second * math.sin(angle)],
        ]
    )
    motif = np.array(cell.motif) if not cell.free else free_motif(cell.free, vectors, rng)
    spacing = nearest_distance(vectors, motif[:, :2])
    width = spacing * rng.uniform(0.24, 0.36)
    places, heights = repeat_motif(vectors, motif, rng.uniform(0, 1, 2), shape, 4 * width)
    places = places + smooth_displacement(places, rng, shape)
    places = places + rng.normal(0, spacing * rng.uniform(0.01, 0.03), places.shape)
    return AtomSheet(places, heights, width, vectors, spacing)


def free_motif(count: int, vectors: Array, rng: np.random.Generator) -> Array:
    """Draw atoms in a cell: row, column (fractions) and height, [count, 3]; none too close."""
    least = 0.7 * math.sqrt(abs(np.linalg.det(vectors)) / count)
    while True:
        motif = np.column_stack([rng.uniform(0, 1, (count, 2)), rng.uniform(0.4, 1, count)])
        if nearest_distance(vectors, motif[:, :2]) > least:
            return motif


def nearest_distance(vectors: Array, fractions: Array) -> float:
    """Return the distance of nearest neighbours of a motif in its lattice, px."""
    shifts = np.array(list(product((-1, 0, 1), repeat=2)))
    differences = fractions[:, None, None] - fractions[None, :, None] + shifts
    distances = np.linalg.norm(differences @ vectors, axis=-1)
    return float(distances[distances > 1e-9].min())


def repeat_motif(
    vectors: Array, motif: Array, origin: Array, shape: Shape, margin: float
) -> tuple[Points, Array]:
    """Return places [A, 2] and heights [A] of all atoms in an image and ``margin`` px around."""
    margin += 0.02 * max(shape)  # strain moves atoms into the image
    low, high = np.full(2, -margin), np.array(shape) + margin
    corners = np.array(list(product(*zip(low, high, strict=True))))
    counts = corners @ np.linalg.inv(vectors)
    first, last = np.floor(counts.min(0)) - 2, np.ceil(counts.max(0)) + 2
    grid = np.stack(np.meshgrid(*map(np.arange, first, last), indexing="ij"), -1).reshape(-1, 1, 2)
    places = ((grid + motif[:, :2] + origin) @ vectors).reshape(-1, 2)
    heights = np.tile(motif[:, 2], len(grid))
    inside = ((places > low) & (places < high)).all(1)
    return places[inside], heights[inside]


def smooth_displacement(places: Points, rng: np.random.Generator, shape: Shape) -> Points:
    """Draw a displacement whose largest derivative is at most 1 %, px, [A, 2]."""
    moved = np.zeros_like(places)
    for _ in range(2):
        wave = rng.normal(size=2)
        wave *= 2 * math.pi * rng.uniform(0.5, 2) / (max(shape) * np.linalg.norm(wave))
        direction, phase = rng.normal(size=2), rng.uniform(0, 2 * math.pi)
        direction *= rng.uniform(0, 0.005) / (np.linalg.norm(direction) * np.linalg.norm(wave))
        moved += np.sin(places @ wave + phase)[:, None] * direction
    return moved


def draw_heights(places: Points, heights: Array, widths: float, shape: Shape) -> Array:
    """Sum Gaussians of the given heights and of one width (standard deviation, px), [H, W]."""
    reach = math.ceil(_REACH * widths)
    around = np.arange(-reach, reach + 1)
    padded = tuple(side + 2 * reach + 2 for side in shape)
    total = np.zeros(padded[0] * padded[1])
    near = ((places > -reach) & (places < np.array(shape) - 1 + reach)).all(1)
    places, heights = places[near], heights[near]
    step = max(1, _CHUNK // len(around) ** 2)
    for start in range(0, len(places), step):
        part = places[start : start + step]
        pixel = np.rint(part).astype(int)
        down, across = (
            np.exp(-0.5 * ((around - (part - pixel)[:, axis, None]) / widths) ** 2)
            for axis in (0, 1)
        )
        spots = heights[start : start + step, None, None] * down[:, :, None] * across[:, None, :]
        rows = (pixel[:, 0, None] + around + reach).clip(0, padded[0] - 1)
        columns = (pixel[:, 1, None] + around + reach).clip(0, padded[1] - 1)
        index = rows[:, :, None] * padded[1] + columns[:, None, :]
        total += np.bincount(index.ravel(), spots.ravel(), total.size)
    inside = total.reshape(padded)[reach : reach + shape[0], reach : reach + shape[1]]
    return np.ascontiguousarray(inside)


def corrugation(image: Array) -> float:
    """Return c, the 5-95 % range of an image."""
    low, high = np.quantile(image, (0.05, 0.95))
    return float(high - low)
