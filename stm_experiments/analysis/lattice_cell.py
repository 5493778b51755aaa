"""Which places of a lattice's cell hold atoms, and how well a lattice explains the atoms found."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stm_experiments.analysis.lattice_vectors import Array, Cells

Mask = NDArray[np.bool_]

_ENOUGH = 0.4  # share of the cells that hold an atom, for a place to be a site
_STRONG = 0.3  # of the local Bragg peaks, relative to their usual strength: here is the lattice


class Motif(NamedTuple):
    """A lattice, judged by the atoms' places in its cell.

    Attributes:
        vectors: [2,2] px.
        coordinates: Of the atoms found, cells, [P,2].
        good: Whether an atom lies where the lattice is strong, [P].
        basis: Places in the cell that hold atoms, [K,2].
        score: Share of the atoms on these places, times that of these places with an atom.
    """

    vectors: Array
    coordinates: Array
    good: Mask
    basis: Array
    score: float


def judge(cells: Cells, vectors: Array, found: Array, near: float) -> Motif:
    """Finds which places of the cell hold atoms, and how well that explains the atoms found.

    Args:
        cells: Where the image's points lie in the lattice.
        vectors: The lattice, [2,2] px.
        found: Atoms, [P,2] px.
        near: Their typical distance, px.
    """
    places, strength = cells.at(found)
    good = strength > _STRONG
    count = (cells.strength > _STRONG).sum() * cells.step**2 / abs(np.linalg.det(vectors))
    basis: list[Array] = []
    matched = 0
    fractions = places[good]
    for start in _densest(fractions, vectors, 0.1 * near):
        apart = [np.linalg.norm(wrapped(start - b) @ vectors) for b in basis]
        if min(apart, default=np.inf) < 0.5 * near:
            continue
        away = wrapped(fractions - start)
        close = np.linalg.norm(away @ vectors, axis=1) < 0.25 * near
        if close.sum() >= _ENOUGH * count:
            basis.append(start + away[close].mean(0))
            matched += int(close.sum())
    score = 0.0
    if basis:
        score = matched / len(found) * min(1.0, matched / (count * len(basis)))
    return Motif(vectors, places, good, np.array(basis).reshape(-1, 2), score)


def wrapped(fractions: Array) -> Array:
    """Cell coordinates to -0.5 .. 0.5."""
    return fractions - np.round(fractions)


def _densest(fractions: Array, vectors: Array, width: float) -> Array:
    """Maxima of the density of atoms in the cell, Gaussian kernel of ``width`` px, [M,2]."""
    n = 64
    counts, _, _ = np.histogram2d(*(fractions % 1).T, bins=n, range=[[0, 1], [0, 1]])
    orders = np.fft.fftfreq(n, 1 / n)
    waves = np.stack(np.meshgrid(orders, orders, indexing="ij"), -1) @ np.linalg.inv(vectors).T
    kernel = np.exp(-2 * (np.pi * width) ** 2 * (waves**2).sum(-1))
    density = np.fft.ifft2(np.fft.fft2(counts) * kernel).real
    place = np.argwhere(density == ndimage.maximum_filter(density, 3, mode="wrap"))
    order = np.argsort(density[tuple(place.T)])[::-1]
    return (place[order][:64] + 0.5) / n
