"""The atoms of an image, the places of the cell that they occupy, and how well a lattice fits."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from stm_experiments.core.arrays import Array, Indices, Mask
from stm_experiments.lattice.atoms import find_atoms, neighbour_distance
from stm_experiments.lattice.phases import CellMap

_BAND = (0.16, 0.55)  # widths of the band-pass around atoms, periods
_PROMINENT = 0.5  # least height of a maximum, root mean squares of the band-passed surroundings
_ENOUGH = 0.4  # share of the cells that hold an atom, for a place to be a site
_CLOSE = 0.25  # furthest of an atom from its place in the cell, distances of nearest neighbours
_APART = 0.5  # least distance of two places of the cell, the same unit
_WIDTH = 0.1  # of the kernel that smooths the density of atoms in the cell, the same unit
_STRONG = 0.3  # least strength of the local Bragg peaks, relative to its upper quartile
_UNLIKE = 0.1  # least difference of the heights of two places, of the higher one
_SIGNIFICANT = 20.0  # least ratio of variances of heights, between places and within them
_GRID = 64  # points of the density along each lattice vector


class Maxima(NamedTuple):
    """The maxima of an image on one scale.

    Attributes:
        heights: The band-passed image, [H, W].
        atoms: Positions (row, column) of the maxima, [P, 2] px.
        spacing: Median distance of nearest neighbours, px.
    """

    heights: Array
    atoms: Array
    spacing: float


def find_maxima(data: Array, mask: Mask, period: float) -> Maxima:
    """Band-pass an image around a period and find its maxima.

    Args:
        data: [H, W].
        mask: True where measured, [H, W].
        period: px.
    """
    narrow, wide = (ndimage.gaussian_filter(data, share * period) for share in _BAND)
    heights = narrow - wide
    contrast = np.sqrt(ndimage.gaussian_filter(heights**2, 3 * period)) + 1e-3 * heights.std()
    even = heights / contrast
    atoms = find_atoms(torch.from_numpy(even), max(1, round(0.25 * period)))
    pixel = tuple(np.round(atoms).astype(int).T)
    atoms = atoms[mask[pixel] & (even[pixel] > _PROMINENT)]
    return Maxima(heights, atoms, neighbour_distance(atoms))


class Motif(NamedTuple):
    """A lattice, judged by the places of the atoms in its cell. P atoms, K places.

    Attributes:
        vectors: (row, column) each, [2, 2] px.
        coordinates: Of the atoms, in units of the vectors, [P, 2].
        good: Whether an atom lies where the lattice is strong, [P].
        basis: Places of the cell that hold atoms, in units of the vectors, [K, 2].
        score: Share of the atoms on these places, the less the further they are from them, times
            the share of these places that hold one.
    """

    vectors: Array
    coordinates: Array
    good: Mask
    basis: Array
    score: float


def find_motif(cells: CellMap, vectors: Array, maxima: Maxima) -> Motif:
    """Find the places of the cell that hold atoms, and how well they explain the atoms.

    Args:
        cells: Where in the lattice the image's points lie.
        vectors: The lattice, (row, column) each, [2, 2] px.
        maxima: The atoms.
    """
    spacing = maxima.spacing
    coordinates, strength = cells.at(maxima.atoms)
    good = strength > _STRONG
    count = (cells.strength > _STRONG).sum() * cells.step.prod() / abs(np.linalg.det(vectors))
    basis: list[Array] = []
    on_places, closeness = 0, 0.0
    fractions = coordinates[good]
    for start in _densest(fractions, vectors, _WIDTH * spacing):
        apart = [np.linalg.norm(wrap_fractions(start - b) @ vectors) for b in basis]
        if min(apart, default=np.inf) < _APART * spacing:
            continue
        away = wrap_fractions(fractions - start)
        close = np.linalg.norm(away @ vectors, axis=1) < _CLOSE * spacing
        if close.sum() >= _ENOUGH * count:
            place = start + away[close].mean(0)
            basis.append(basis[0] + wrap_fractions(place - basis[0]) if basis else place)
            on_places += int(close.sum())
            distance = np.linalg.norm(wrap_fractions(fractions - place) @ vectors, axis=1)[close]
            closeness += float((1 - (distance / (_CLOSE * spacing)) ** 2).clip(0).sum())
    score = 0.0
    if basis:
        score = closeness / len(maxima.atoms) * min(1.0, on_places / (count * len(basis)))
    return Motif(vectors, coordinates, good, np.array(basis).reshape(-1, 2), score)


def differ_in_height(motif: Motif, smaller: Array, maxima: Maxima) -> bool:
    """Return whether places of a cell have atoms of different heights that a smaller one equates.

    Args:
        motif: A lattice.
        smaller: Vectors of a lattice, (row, column) each, whose cells the first one's cell consists
            of, [2, 2] px.
        maxima: The atoms.
    """
    atoms = np.flatnonzero(motif.good)
    away = wrap_fractions(motif.coordinates[atoms, None] - motif.basis) @ motif.vectors
    distance = np.linalg.norm(away, axis=2)
    close = distance.min(1) < _CLOSE * maxima.spacing
    pixel = tuple(np.round(maxima.atoms[atoms[close]]).astype(int).T)
    height, place = maxima.heights[pixel], distance[close].argmin(1)
    counts = np.bincount(place, minlength=len(motif.basis))
    means = np.bincount(place, height, len(motif.basis)) / np.maximum(counts, 1)
    group = _equal_places(motif, smaller, maxima.spacing)
    groups = int(group.max()) + 1
    freedom = len(height) - len(means)
    if counts.min() < 3 or freedom < 1 or len(means) == groups:
        return False
    common = np.bincount(group, counts * means) / np.bincount(group, counts)
    between = float(counts @ (means - common[group]) ** 2) / (len(means) - groups)
    within = float(((height - means[place]) ** 2).sum()) / freedom
    members = [means[group == one] for one in range(groups)]
    unlike = any(one.max() - one.min() > _UNLIKE * one.max() for one in members)
    return bool(unlike and between > _SIGNIFICANT * within)


def _equal_places(motif: Motif, smaller: Array, spacing: float) -> Indices:
    """Return which places of a cell are one place of a smaller cell, as numbers of groups, [K]."""
    apart = (motif.basis[:, None] - motif.basis) @ motif.vectors @ np.linalg.inv(smaller)
    equal = np.linalg.norm(wrap_fractions(apart) @ smaller, axis=2) < _APART * spacing
    return np.unique(equal.argmax(1), return_inverse=True)[1]


def wrap_fractions(fractions: Array) -> Array:
    """Return cell coordinates in -0.5 to 0.5."""
    return np.asarray(fractions - np.round(fractions))


def _densest(fractions: Array, vectors: Array, width: float) -> Array:
    """Return the maxima of the density of atoms in the cell, densest first, [M, 2].

    Args:
        fractions: Cell coordinates of the atoms, [P, 2].
        vectors: [2, 2] px.
        width: Standard deviation of the Gaussian kernel, px.
    """
    n = _GRID
    places = (fractions % 1 * n).astype(int) % n
    counts = np.bincount(places[:, 0] * n + places[:, 1], minlength=n * n).reshape(n, n)
    orders = np.fft.fftfreq(n, 1 / n)
    waves = np.stack(np.meshgrid(orders, orders, indexing="ij"), -1) @ np.linalg.inv(vectors).T
    kernel = np.exp(-2 * (np.pi * width) ** 2 * (waves**2).sum(-1))
    density = np.fft.ifft2(np.fft.fft2(counts) * kernel).real
    place = np.argwhere(density == ndimage.maximum_filter(density, 3, mode="wrap"))
    order = np.argsort(density[tuple(place.T)])[::-1]
    return np.asarray((place[order][:64] + 0.5) / n)
