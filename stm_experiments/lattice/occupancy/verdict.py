"""Which sites of a lattice hold an atom, which are empty, and which cannot be judged.

A site is empty if the image is about as low there as a lattice without its atom would be. Rows that
are shifted as a whole, as by 1/f noise or a scar, are told by what the mean cell does not explain
beside the site. A site under a cluster, at a step, in a strong scar or where nothing was measured
is neither empty nor occupied: it is unknown.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from stm_experiments.core.arrays import Array, Mask
from stm_experiments.lattice.occupancy.mean_cell import Layout, MeanCell, average_cell
from stm_experiments.lattice.sites import LatticeSites

_BAND = (0.16, 0.35)  # widths of the band-pass in which heights are judged, spacings
_BESIDE = (0.6, 3.0, 0.15)  # from where to where a row is judged beside a site, and step, spacings
_THRESHOLDS = np.arange(0.15, 0.451, 0.01)  # of the height, of the usual one
_LIKELY = 0.32  # threshold where the heights themselves do not tell one
_PRIOR = 10.0  # weight of this, sites per square of the height
_KERNEL = 0.04  # standard deviation of the kernel of the heights' density, usual heights
_NEIGHBOURS = 13  # of the same kind that tell the usual height
_MANY = 60  # of the same kind that tell its deviation
_CLEAR = 2.0  # least depth of an empty site, deviations of the heights
_DEEP = 0.15  # least depth of an empty site, usual heights of the highest kind
_LOWER = 0.2  # least depth of an empty site below its neighbours in the image, usual heights
_STEEP = 4.0  # largest range of the neighbours' middle half, usual heights
_SHIFTED = 1.5  # largest shift of a row, usual heights
_BLOCK = 20_000  # sites whose rows are judged at a time, to bound the memory
_NORMAL_MAD = 1.4826  # standard deviation over median absolute deviation of a normal distribution


class Occupancy(NamedTuple):
    """The verdict on sites. S sites.

    Attributes:
        height: How far the image stands out of its surroundings at the site, in its unit, [S].
        low: Whether the site looks empty, [S].
        doubtful: Whether something else than a missing atom can make it look so, [S].
    """

    height: Array
    low: Mask
    doubtful: Mask


class Candidates(NamedTuple):
    """Sites that may hold an atom. S sites.

    Attributes:
        sites: Of the undistorted lattice.
        place: In the image, (row, column), finite, [S, 2] px.
        inside: Whether this place was measured, [S].
        held: Whether an atom was found there, [S].
        spacing: Distance of nearest neighbours, px.
    """

    sites: LatticeSites
    place: Array
    inside: Mask
    held: Mask
    spacing: float


def judge_occupancy(image: Array, valid: Mask, candidates: Candidates) -> Occupancy:
    """Judge which sites of a lattice hold an atom.

    Args:
        image: Without its plane, [H, W].
        valid: Where it was measured, [H, W].
        candidates: The sites; at least four hold an atom.
    """
    sites, place, inside, held, spacing = candidates
    narrow, wide = (ndimage.gaussian_filter(image, share * spacing) for share in _BAND)
    band = narrow - wide
    kinds = range(int(sites.kind.max()) + 1)
    known = Layout(sites.lattice.vectors, sites.ideal[held], place[held], spacing)
    height = _sample(band, place)
    near = _Neighbours(sites, held)
    usual = near.median(height)
    typical = np.array([np.median(usual[sites.kind == kind]) for kind in kinds])[sites.kind]
    gain = np.clip(usual / np.where(typical > 0, typical, np.inf), 0.2, 5.0)
    cell = average_cell(band, valid, known)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(place), _BLOCK)]
    shift = np.concatenate(
        [_row_shifts(band, cell, place[block], gain[block], spacing) for block in blocks]
    )
    level_height = height - shift
    usual = near.median(level_height)
    scale = np.maximum(usual, 1e-9 * np.abs(height).max())
    ratio = level_height / scale
    low = np.zeros(len(ratio), bool)
    for kind in kinds:
        same = sites.kind == kind
        low[same] = ratio[same] < _threshold(ratio[same & inside])
    level = _sample(narrow, place)
    depth, spread = near.median(level) - level, near.middle_half(level)
    doubtful = (usual <= 0) | (ratio > 1 - _CLEAR * near.deviation(ratio))
    doubtful |= usual - level_height < _DEEP * gain * typical.max()
    doubtful |= (depth < _LOWER * scale) | (spread > _STEEP * scale)
    doubtful |= np.abs(shift) > _SHIFTED * scale
    return Occupancy(height, low, np.asarray(doubtful, bool))


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


def _threshold(ratio: Array) -> float:
    """Return the height that best divides empty from occupied sites: where there are fewest.

    Args:
        ratio: Heights of sites of one kind, of the usual height, [S].
    """
    apart = (ratio[:, None] - _THRESHOLDS) / _KERNEL
    count = np.exp(-0.5 * apart**2).sum(0) + _PRIOR * (_THRESHOLDS - _LIKELY) ** 2
    return float(_THRESHOLDS[count.argmin()])


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
        blocks = [self.index[start : start + _BLOCK] for start in range(0, len(ratio), _BLOCK)]
        medians = [np.median(np.abs(ratio[block] - 1), axis=1) for block in blocks]
        return _NORMAL_MAD * np.concatenate(medians)
