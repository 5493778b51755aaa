"""Which sites of a lattice hold an atom, which are empty, and which cannot be judged.

A site holds an atom if the image is about as high there as at other sites of its kind, and is empty
if it is as low as a lattice without its atom would be. Between them lie foreign atoms, and all
atoms where noise, a superlattice or domains scatter the heights widely: such a site is unknown. So
is a site in whose surroundings something else can be low: a step, a cluster, a strong scar. Rows
that are shifted as a whole, as by 1/f noise, are told by what the mean cell does not explain beside
the site.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from stm_experiments.core.arrays import Array, Mask
from stm_experiments.lattice.occupancy.mean_cell import Layout, MeanCell, average_cell
from stm_experiments.lattice.sites import LatticeSites

_BAND = (0.16, 0.35)  # widths of the band-pass in which heights are judged, spacings
_BESIDE = (0.6, 3.0, 0.15)  # from where to where a row is judged beside a site, and step, spacings
_AROUND = 8  # directions in which the surroundings of a site are judged
_RADIUS = 1.0  # how far from it, spacings
# Heights are relative to the usual one of the kind; their deviation is the local one.
_MISSING = -0.05  # highest mean height of an empty site: most are lower, as the band-pass sinks it
_LEAST_EMPTY, _MOST_EMPTY = 0.15, 0.25  # limits of the height below which a site is empty
_LEAST_FULL, _MOST_FULL = 0.3, 0.5  # limits of the height above which it holds an atom
_REACH = 3.0  # of the heights of empty sites above their mean, deviations
_RARE = 3.2  # below the usual height, deviations: atoms that are as low by chance are rare
_NEIGHBOURS = 13  # of the same kind that tell the usual height
_MANY = 60  # of the same kind that tell its deviation
_MIXED = 0.5  # height of the lower quarter of the neighbours, below which the kind has two heights
_DEEP = 0.15  # least depth of an empty site, usual heights of the highest kind
_LOWER = 0.6  # least depth of an empty site below its neighbours in the image, usual heights
_SIDE = 1.2  # largest depth of the surroundings below an empty site, usual heights
_STEEP = 4.0  # largest range of the neighbours' middle half, usual heights
_SHIFTED = 1.5  # largest shift of a row, usual heights
_BLOCK = 20_000  # sites whose rows are judged at a time, to bound the memory
_NORMAL_MAD = 1.4826  # standard deviation over median absolute deviation of a normal distribution


class Occupancy(NamedTuple):
    """The verdict on sites. S sites.

    Attributes:
        height: How far the image stands out of its surroundings at the site, in its unit, [S].
        full: Whether the site holds an atom, [S].
        low: Whether it is as low as an empty site, [S].
        doubtful: Whether something else than a missing atom can make it so low, [S].
    """

    height: Array
    full: Mask
    low: Mask
    doubtful: Mask


class Candidates(NamedTuple):
    """Sites that may hold an atom. S sites.

    Attributes:
        sites: Of the undistorted lattice.
        place: In the image, (row, column), finite, [S, 2] px.
        held: Whether an atom was found there, [S].
        spacing: Distance of nearest neighbours, px.
    """

    sites: LatticeSites
    place: Array
    held: Mask
    spacing: float


def judge_occupancy(image: Array, valid: Mask, candidates: Candidates) -> Occupancy:
    """Judge which sites of a lattice hold an atom.

    Args:
        image: Without its plane, [H, W].
        valid: Where it was measured, [H, W].
        candidates: The sites; at least four hold an atom.
    """
    sites, place, held, spacing = candidates
    narrow, wide = (ndimage.gaussian_filter(image, share * spacing) for share in _BAND)
    band = narrow - wide
    kinds = range(int(sites.kind.max()) + 1)
    known = Layout(sites.lattice.vectors, sites.ideal[held], place[held], spacing)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(place), _BLOCK)]
    height = _sample(band, place)
    near = _Neighbours(sites, held)
    usual = near.median(height)
    typical = np.array([np.median(usual[sites.kind == kind]) for kind in kinds])[sites.kind]
    gain = np.clip(usual / np.where(typical > 0, typical, np.inf), 0.2, 5.0)
    cell = average_cell(band, valid, known)
    shift = np.concatenate(
        [_row_shifts(band, cell, place[block], gain[block], spacing) for block in blocks]
    )
    level_height = height - shift
    usual = near.median(level_height)
    scale = np.maximum(usual, 1e-9 * np.abs(height).max())
    ratio = level_height / scale
    deviation = near.deviation(ratio)
    empty_below = np.clip(_MISSING + _REACH * deviation, _LEAST_EMPTY, _MOST_EMPTY)
    low = (ratio < np.minimum(empty_below, 1 - _RARE * deviation)) & (usual > 0)
    full = ratio >= np.clip(_MISSING + _REACH * deviation, _LEAST_FULL, _MOST_FULL)
    level = _sample(narrow, place)
    depth, spread = near.median(level) - level, near.middle_half(level)
    tall = np.maximum(scale, gain * typical.max())
    doubtful = usual - level_height < _DEEP * tall
    doubtful |= (depth < _LOWER * scale) | (spread > _STEEP * scale)
    doubtful |= (np.abs(shift) > _SHIFTED * scale) | (near.lower_quarter(ratio) < _MIXED)
    cell = average_cell(wide, valid, known)
    beside = [_depth_beside(wide, cell, place[block], spacing) for block in blocks]
    doubtful |= np.concatenate(beside) > _SIDE * tall
    return Occupancy(height, np.asarray(full & (usual > 0), bool), low, np.asarray(doubtful, bool))


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


class _Neighbours:
    """The nearest sites of the same kind at which an atom was found."""

    def __init__(self, sites: LatticeSites, used: Mask) -> None:
        self.index = np.zeros((len(used), _MANY), np.int32)
        for kind in range(int(sites.kind.max()) + 1):
            same = np.flatnonzero(sites.kind == kind)
            among = np.flatnonzero((sites.kind == kind) & used)
            if len(among) == 0:
                among = np.flatnonzero(used)
            order = np.arange(_MANY) % min(_MANY, len(among))
            _, nearest = KDTree(sites.ideal[among]).query(sites.ideal[same], min(_MANY, len(among)))
            self.index[same] = among[nearest.reshape(len(same), -1)[:, order]]

    def median(self, values: Array) -> Array:
        """Return the median of the nearest 13 sites' values [S], [S]."""
        return np.asarray(np.median(values[self.index[:, :_NEIGHBOURS]], axis=1))

    def middle_half(self, values: Array) -> Array:
        """Return the range of the middle half of the nearest 13 sites' values [S], [S]."""
        low, high = np.percentile(values[self.index[:, :_NEIGHBOURS]], [25, 75], axis=1)
        return np.asarray(high - low)

    def deviation(self, ratio: Array) -> Array:
        """Return the robust standard deviation of the nearest 60 sites' ratios [S] from 1, [S]."""
        medians = [np.median(np.abs(ratio[block] - 1), axis=1) for block in self._blocks()]
        return _NORMAL_MAD * np.concatenate(medians)

    def lower_quarter(self, ratio: Array) -> Array:
        """Return the height above which three quarters of the nearest 60 sites' ratios lie, [S]."""
        return np.concatenate([np.percentile(ratio[block], 25, axis=1) for block in self._blocks()])

    def _blocks(self) -> list[NDArray[np.int32]]:
        """Return the neighbours of some sites at a time, to bound the memory."""
        return [self.index[start : start + _BLOCK] for start in range(0, len(self.index), _BLOCK)]
