"""The height of a site, predicted from its neighbours.

Neighbours tell what a wave of the sample, a slow change of the tip or a domain of a superlattice
does to a site. How much each of them tells is fitted to the image, so that nothing about its
waves has to be known: the height of a wave at a site is a fixed sum of its heights at the
neighbours, whatever its phase.
"""

import numpy as np

from stm_experiments.core.arrays import Array, Indices, Mask
from stm_experiments.lattice.sites import LatticeSites

_PAIRS = 9  # of neighbours of the same kind that lie opposite each other: three shells or more
_EQUAL = 1.05  # ratio of two distances up to which neighbours belong to one shell
_SHRINK = 0.1  # ridge of the fit, of the sum of squares of the heights
_ROUNDS = 4  # of the fit, in each of which sites without an atom are left out
_ODD = 0.7  # missing share of a site that is left out


def predict_heights(sites: LatticeSites, height: Array, known: Mask) -> Array:
    """Predict the height of each site from those of its neighbours of the same kind.

    Args:
        sites: Of the undistorted lattice, S of them.
        height: Of the sites above the usual height of their kind around them, in what an atom
            adds, [S].
        known: Whether a height is known, [S].

    Returns:
        [S]; 0 where no neighbour's height is known.
    """
    pairs = _nearest_pairs(sites.lattice.vectors)
    reach = int(np.abs(pairs).max())
    cell = sites.cell - sites.cell.min(0) + reach
    grid = np.full(cell.max(0) + 1 + reach, np.nan)
    predicted = np.zeros(len(height))
    for kind in range(int(sites.kind.max()) + 1):
        of_kind = np.flatnonzero(sites.kind == kind)
        values = np.where(known[of_kind], height[of_kind], np.nan)
        predicted[of_kind] = _predict(grid.copy(), cell[of_kind], pairs, values)
    return predicted


def _nearest_pairs(vectors: Array) -> Indices:
    """Return one of each pair of opposite neighbours in whole shells, in cells, [P, 2]."""
    span = np.arange(-_PAIRS, _PAIRS + 1)
    cells = np.stack(np.meshgrid(span, span, indexing="ij"), -1).reshape(-1, 2)
    cells = cells[(cells[:, 0] > 0) | ((cells[:, 0] == 0) & (cells[:, 1] > 0))]
    distance = np.linalg.norm(cells @ vectors, axis=1)
    return np.asarray(cells[distance <= _EQUAL * np.sort(distance)[_PAIRS - 1]], np.int64)


def _predict(grid: Array, cell: Indices, pairs: Indices, height: Array) -> Array:
    """Predict the heights of the sites of one kind; see ``predict_heights``.

    Args:
        grid: Of the cells, NaN, with a margin as wide as the pairs reach.
        cell: Of the sites, in this grid, [K, 2].
        pairs: Of neighbours, [P, 2] cells.
        height: NaN if unknown, [K].

    Returns:
        [K]; 0 where no neighbour is known.
    """
    predicted = np.zeros(len(cell))
    for _ in range(_ROUNDS):
        missing = predicted - height
        good = missing < _ODD
        grid[tuple(cell.T)] = np.where(good, height, np.nan)
        both = np.array(
            [[grid[tuple(at.T)] for at in (cell + pair, cell - pair)] for pair in pairs]
        )
        count = np.isfinite(both).sum(1)
        terms = (np.nansum(both, axis=1) / np.maximum(count, 1)).T
        used, aim = terms[good], height[good]
        normal = used.T @ used + (_SHRINK * aim @ aim + 1e-12) * np.eye(len(pairs))
        predicted = terms @ np.linalg.solve(normal, used.T @ aim)
    return predicted
