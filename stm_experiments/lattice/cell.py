"""The atoms of an image, which places of a cell they hold, how well a lattice explains them."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from stm_experiments.lattice.atoms import find_atoms, spacing
from stm_experiments.lattice.vectors import Array, Cells

Mask = NDArray[np.bool_]

_PROMINENT = 0.5  # least height of a maximum, root mean squares of the band-passed surroundings
_ENOUGH = 0.4  # share of the cells that hold an atom, for a place to be a site
_CLOSE = 0.25  # furthest of an atom from its place in the cell, distances of nearest neighbours
_STRONG = 0.3  # of the local Bragg peaks, relative to their usual strength: here is the lattice


class View(NamedTuple):
    """The image's atoms at a scale: its band-passed heights [H,W], maxima [P,2] px, distance px."""

    raised: Array
    found: Array
    near: float


def view_at(data: Array, known: Mask, period: float) -> View:
    """Band-passes an image around a period (px) and finds its maxima."""
    narrow, wide = (ndimage.gaussian_filter(data, share * period) for share in (0.16, 0.55))
    raised = narrow - wide
    contrast = np.sqrt(ndimage.gaussian_filter(raised**2, 3 * period)) + 1e-3 * raised.std()
    even = raised / contrast
    found = find_atoms(torch.from_numpy(even), max(1, round(0.25 * period)))
    at = tuple(np.round(found).astype(int).T)
    found = found[known[at] & (even[at] > _PROMINENT)]
    return View(raised, found, spacing(found))


class Motif(NamedTuple):
    """A lattice, judged by the atoms' places in its cell.

    Attributes:
        vectors: [2,2] px.
        coordinates: Of the atoms found, cells, [P,2].
        good: Whether an atom lies where the lattice is strong, [P].
        basis: Places in the cell that hold atoms, [K,2].
        score: Share of the atoms on these places, the less the further they are from them, times
            the share of these places that hold one.
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
    matched, close_ones = 0, 0.0
    fractions = places[good]
    for start in _densest(fractions, vectors, 0.1 * near):
        apart = [np.linalg.norm(wrapped(start - b) @ vectors) for b in basis]
        if min(apart, default=np.inf) < 0.5 * near:
            continue
        away = wrapped(fractions - start)
        close = np.linalg.norm(away @ vectors, axis=1) < _CLOSE * near
        if close.sum() >= _ENOUGH * count:
            place = start + away[close].mean(0)
            basis.append(basis[0] + wrapped(place - basis[0]) if basis else place)
            matched += int(close.sum())
            distance = np.linalg.norm(wrapped(fractions - place) @ vectors, axis=1)[close]
            close_ones += float((1 - (distance / (_CLOSE * near)) ** 2).clip(0).sum())
    score = 0.0
    if basis:
        score = close_ones / len(found) * min(1.0, matched / (count * len(basis)))
    return Motif(vectors, places, good, np.array(basis).reshape(-1, 2), score)


def wrapped(fractions: Array) -> Array:
    """Cell coordinates to -0.5 .. 0.5."""
    return fractions - np.round(fractions)


def _densest(fractions: Array, vectors: Array, width: float) -> Array:
    """Maxima of the density of atoms in the cell, Gaussian kernel of ``width`` px, [M,2]."""
    n = 64
    places = (fractions % 1 * n).astype(int) % n
    counts = np.bincount(places[:, 0] * n + places[:, 1], minlength=n * n).reshape(n, n)
    orders = np.fft.fftfreq(n, 1 / n)
    waves = np.stack(np.meshgrid(orders, orders, indexing="ij"), -1) @ np.linalg.inv(vectors).T
    kernel = np.exp(-2 * (np.pi * width) ** 2 * (waves**2).sum(-1))
    density = np.fft.ifft2(np.fft.fft2(counts) * kernel).real
    place = np.argwhere(density == ndimage.maximum_filter(density, 3, mode="wrap"))
    order = np.argsort(density[tuple(place.T)])[::-1]
    return (place[order][:64] + 0.5) / n
