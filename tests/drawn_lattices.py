"""Lattices of drawn atoms, for the tests of lattices."""

import math
from functools import lru_cache

import numpy as np

SIZE = 150
# Vectors (px), basis, width of an atom (px).
LATTICES = {
    "square": ([[0, 10], [10, 0]], [[0, 0]], 2.2),
    "hexagonal": ([[0, 11], [9.526, 5.5]], [[0, 0]], 2.2),
    "honeycomb": ([[0, 18], [15.588, 9]], [[0, 0], [1 / 3, 1 / 3]], 2.4),
    "centred rectangular": ([[0, 10], [16, 5]], [[0, 0]], 2.4),
    "oblique": ([[2, 12], [11, 4]], [[0, 0]], 2.4),
    "dumbbells": ([[0, 22], [15, 11]], [[0, 0], [0, 0.4]], 2.2),
}


def turned(vectors, degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array(vectors, float) @ np.array([[c, s], [-s, c]])


def sites_of(vectors, basis, moved=None, size=SIZE):
    """All sites in and just around an image, [S,2] px, displaced by ``moved(places)``."""
    n = np.stack(np.meshgrid(*[np.arange(-60, 61)] * 2, indexing="ij"), -1).reshape(-1, 1, 2)
    places = ((n + np.array(basis)) @ vectors).reshape(-1, 2) + size / 2 + 0.3
    if moved is not None:
        places = places + moved(places)
    return places[((places > -12) & (places < size + 12)).all(1)]


def drawn(places, width, size=SIZE):
    rows, columns = (
        np.exp(-((np.arange(size) - p[:, None]) ** 2) / 2 / width**2) for p in places.T
    )
    return rows.T @ columns


@lru_cache
def example(name, degrees=17.0):
    vectors, basis, width = LATTICES[name]
    places = sites_of(turned(vectors, degrees), basis)
    return places, drawn(places, width)
