"""Which sites of a lattice hold an atom, which are empty, and which cannot be judged.

The height of a site is compared with the one that its neighbours predict. What it lacks, as a share
of what an atom adds, is the missing share: 0 at an atom, 1 at an empty site. Foreign atoms and
half-filled columns lie between them. A site is unknown where its missing share is between those of
atoms and of empty sites, where the sites around it differ from their predictions as much, and on
the slope of a step or of a cluster. Rows that are shifted as a whole, as by 1/f noise, are told by
what the mean cell does not explain beside the site.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from stm_experiments.core.arrays import Array, Indices, Mask
from stm_experiments.lattice.occupancy.mean_cell import Layout, MeanCell, average_cell
from stm_experiments.lattice.occupancy.prediction import predict_heights
from stm_experiments.lattice.sites import LatticeSites, MeanLattice

_BAND = (0.16, 0.35)  # widths of the band-pass in which heights are judged, spacings
_BESIDE = (0.6, 3.0, 0.15)  # from where to where a row is judged beside a site, and step, spacings
_AROUND = 8  # directions in which the surroundings of a site are judged
_RADIUS = 1.0  # how far from it, spacings
_ATOM = 0.24  # width of an atom, taken as a Gaussian, spacings
_REACH = 3  # cells to each side whose atoms lower a site in the band-passed image
_GAINS = (0.2, 5.0)  # between which the strength of the lattice lies, of its mean
_ATOMIC, _EMPTY = 0.45, 0.7  # largest missing share of an atom, and least one of an empty site
_CLEAR = 2.0  # the same, missing shares that a quarter of the sites around it exceed
_SIDE = 1.0  # largest depth of the surroundings below an empty site, heights of the tallest atom
_USUAL = 13  # nearest sites of the same kind that tell the usual height
_ANY = 24  # nearest sites of any kind, whose missing shares tell how clear the lattice is
_BLOCK = 20_000  # sites whose surroundings are judged at a time, to bound the memory


class Occupancy(NamedTuple):
    """The verdict on sites; those that are neither full nor empty are unknown. S sites.

    Attributes:
        height: How far the image stands out of its surroundings at the site, in its unit, [S].
        full: Whether the site holds an atom, [S].
        empty: Whether it is empty, [S].
    """

    height: Array
    full: Mask
    empty: Mask


class Candidates(NamedTuple):
    """Sites that may hold an atom. S sites.

    Attributes:
        sites: Of the undistorted lattice.
        place: Where their neighbours place them in the image, (row, column), finite, [S, 2] px.
        known: Whether the site lies in the image and on the lattice, [S].
        spacing: Distance of nearest neighbours, px.
    """

    sites: LatticeSites
    place: Array
    known: Mask
    spacing: float


def judge_occupancy(image: Array, valid: Mask, candidates: Candidates) -> Occupancy:
    """Judge which sites of a lattice hold an atom.

    Args:
        image: Without its plane, [H, W].
        valid: Where it was measured, [H, W].
        candidates: The sites; at least four are known.
    """
    sites, place, known, spacing = candidates
    narrow, wide = (ndimage.gaussian_filter(image, share * spacing) for share in _BAND)
    band = narrow - wide
    layout = Layout(sites.lattice.vectors, sites.ideal[known], place[known], spacing)
    near = _find_nearest(sites, known)
    height = _sample(band, place)
    gain = _gain(np.median(height[near.alike], axis=1), sites)
    cell = average_cell(band, valid, layout)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(place), _BLOCK)]
    shift = [_row_shifts(band, cell, place[block], gain[block], spacing) for block in blocks]
    level = height - np.concatenate(shift)
    usual = np.median(level[near.alike], axis=1)
    whole = atom_heights(sites.lattice, _typical(usual, sites), spacing)
    added = _gain(usual, sites) * whole[sites.kind]
    judged = usual > 0
    above = (level - usual) / np.where(judged, added, np.inf)
    missing = predict_heights(sites, above, known) - above
    exceeded = np.percentile(np.abs(missing)[near.any], 75, axis=1)
    least = np.maximum(_EMPTY, _CLEAR * exceeded)
    cell = average_cell(wide, valid, layout)
    beside = [_depth_beside(wide, cell, place[block], spacing) for block in blocks]
    flat = np.concatenate(beside) <= _SIDE * gain * whole.max()
    full, empty = judged & (missing < _ATOMIC), judged & flat & (missing > least)
    return Occupancy(height, np.asarray(full, bool), np.asarray(empty, bool))


def atom_heights(lattice: MeanLattice, usual: Array, spacing: float) -> Array:
    """Return what an atom adds to the height of its site in the band-passed image, [K].

    It adds more than the whole height: the band-pass lowers a site between other atoms.

    Args:
        lattice: With K atoms in the cell.
        usual: Heights of the K kinds of sites, [K].
        spacing: Distance of nearest neighbours, px.
    """
    cells = np.stack(np.meshgrid(*[np.arange(-_REACH, _REACH + 1)] * 2, indexing="ij"), -1)
    apart = lattice.basis[:, None] - lattice.basis
    away = (apart[:, :, None] + cells.reshape(-1, 2)) @ lattice.vectors / spacing
    square = (away**2).sum(-1)
    narrow, wide = (_ATOM**2 + width**2 for width in _BAND)
    response = np.exp(-0.5 * square / narrow) / narrow - np.exp(-0.5 * square / wide) / wide
    added = np.linalg.solve(response.sum(2), usual) * (1 / narrow - 1 / wide)
    return np.asarray(np.maximum(added, usual))


def _typical(usual: Array, sites: LatticeSites) -> Array:
    """Return the median of values [S] over the sites of each kind, [K]."""
    kinds = range(len(sites.lattice.basis))
    return np.array([np.median(usual[sites.kind == kind]) for kind in kinds])


def _gain(usual: Array, sites: LatticeSites) -> Array:
    """Return how strong each kind is around each site, relative to the whole image, [S].

    Args:
        usual: Height of the kind around each site, [S].
        sites: S sites.
    """
    typical = _typical(usual, sites)[sites.kind]
    return np.clip(usual / np.where(typical > 0, typical, np.inf), *_GAINS)


class _Nearest(NamedTuple):
    """The nearest known sites of each of S sites, itself included.

    Attributes:
        alike: Of its kind, the nearest first, [S, 13].
        any: Of any kind, the nearest first, [S, 24].
    """

    alike: Indices
    any: Indices


def _find_nearest(sites: LatticeSites, known: Mask) -> _Nearest:
    """Find the nearest known sites of each site; fewer are repeated.

    For a kind of which none is known, those of any kind are taken.
    """
    every = np.flatnonzero(known)
    alike = np.zeros((len(known), _USUAL), int)
    for kind in range(len(sites.lattice.basis)):
        of_kind = np.flatnonzero(sites.kind == kind)
        among = every[sites.kind[every] == kind]
        alike[of_kind] = _nearest(
            sites.ideal[of_kind], sites.ideal, every if len(among) == 0 else among, _USUAL
        )
    return _Nearest(alike, _nearest(sites.ideal, sites.ideal, every, _ANY))


def _nearest(places: Array, ideal: Array, among: Indices, count: int) -> Indices:
    """Return which of some sites are the nearest to places [P, 2] px, [P, count]."""
    found = min(count, len(among))
    index = KDTree(ideal[among]).query(places, range(1, found + 1))[1]
    return np.asarray(among[index[:, np.arange(count) % found]])


def _sample(image: Array, place: Array) -> Array:
    """Return an image's values at places (row, column) [P, 2] px, [P]."""
    return np.asarray(ndimage.map_coordinates(image, place.T, order=3, mode="nearest"))


def _row_shifts(band: Array, cell: MeanCell, place: Array, gain: Array, spacing: float) -> Array:
    """Return how far rows are shifted at sites: the median of what is no lattice beside them.

    Args:
        band: Image, [H, W].
        cell: Its mean cell.
        place: Of the sites, (row, column), [S, 2] px.
        gain: Strength of the lattice around each site, of its mean, [S].
        spacing: Distance of nearest neighbours, px.
    """
    away = np.arange(*_BESIDE) * spacing
    away = np.concatenate([-away[::-1], away])
    points = place[:, None] + np.stack([0 * away, away], 1)
    flat = points.reshape(-1, 2)
    values = ndimage.map_coordinates(band, flat.T, order=1, mode="nearest")
    rest = (values - np.repeat(gain, len(away)) * cell.at(flat)).reshape(len(place), -1)
    outside = (points[..., 1] < 0) | (points[..., 1] > band.shape[1] - 1)
    rest = np.where(outside, np.nan, rest)
    rest[np.isnan(rest).all(1)] = 0.0
    return np.asarray(np.nanmedian(rest, axis=1))


def _depth_beside(wide: Array, cell: MeanCell, place: Array, spacing: float) -> Array:
    """Return how far the image is lower beside sites than at them, where it is lowest, [S].

    The surroundings of a missing atom are higher. On the slope of a step or a cluster one side is
    lower.

    Args:
        wide: The image without its atoms, [H, W].
        cell: Its mean cell, which is subtracted.
        place: Of the sites, (row, column), [S, 2] px.
        spacing: Distance of nearest neighbours, px.
    """
    turn = 2 * np.pi * np.arange(_AROUND) / _AROUND
    away = np.stack([np.sin(turn), np.cos(turn)], 1) * _RADIUS * spacing
    points = (place[:, None] + np.concatenate([np.zeros((1, 2)), away])).reshape(-1, 2)
    rest = ndimage.map_coordinates(wide, points.T, order=1, mode="nearest") - cell.at(points)
    inside = ((points >= 0) & (points <= np.array(wide.shape) - 1)).all(1)
    rest = np.where(inside, rest, np.nan).reshape(len(place), -1)
    return np.asarray(np.fmax.reduce(rest[:, :1] - rest[:, 1:], axis=1, initial=-np.inf))
