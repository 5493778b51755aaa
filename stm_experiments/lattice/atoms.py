"""Atoms in an image: maxima to a fraction of a pixel, their distance, and their matching."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree, distance
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.arrays import Indices, Points

# Least-squares parabola z = a + b u + c v + d u^2 + e v^2 + f u v on the 3x3 px around a maximum.
_U, _V = (axis.ravel().astype(float) for axis in np.mgrid[-1:2, -1:2])
_PARABOLA = np.linalg.pinv(np.stack([np.ones(9), _U, _V, _U**2, _V**2, _U * _V], 1))


class Matches(NamedTuple):
    """Pairs of two lists of points.

    Attributes:
        first: Indices into the first list, [M].
        second: Indices into the second list, [M].
    """

    first: Indices
    second: Indices


def find_atoms(image: Tensor, radius: int = 2, border: int = 2) -> Points:
    """Find the maxima of an image to a fraction of a pixel.

    A pixel is a maximum if it is the largest within ``radius`` px along both axes. Its position is
    the top of the parabola fitted to its 3x3 neighbourhood, at most 1 px away along each axis.

    Args:
        image: [H, W].
        radius: Reach of a maximum, px; less than half the distance of two atoms.
        border: Maxima closer to the border are left out, px; at least 1.

    Returns:
        Positions (row, column), [P, 2] px; the centre of the first pixel is 0.
    """
    # A plateau, which only an image without noise has, is no maximum.
    highest, lowest = (sign * _largest_within(sign * image, radius) for sign in (1, -1))
    inside = torch.zeros(image.shape, dtype=torch.bool, device=image.device)
    inside[border:-border, border:-border] = True
    place = ((image == highest) & (image > lowest) & inside).nonzero().cpu().numpy()
    if not len(place):
        return np.empty((0, 2))
    pixels = image.double().cpu().numpy()
    values = pixels[place[:, :1] + _U.astype(int), place[:, 1:] + _V.astype(int)]
    _, b, c, d, e, f = _PARABOLA @ values.T
    determinant = 4 * d * e - f * f
    has_top = (determinant > 0) & (d < 0)  # a ridge has none: its pixel is the position
    safe = np.where(has_top, determinant, 1)
    offset = np.stack([(f * c - 2 * e * b) / safe, (f * b - 2 * d * c) / safe], 1)
    return np.asarray(place + np.where(has_top[:, None], offset.clip(-1, 1), 0))


def _largest_within(image: Tensor, radius: int) -> Tensor:
    """Return the largest value within ``radius`` px along both axes of each pixel, [H, W]."""
    side = 2 * radius + 1
    along_rows = F.max_pool2d(image[None, None], (1, side), 1, (0, radius))
    return F.max_pool2d(along_rows, (side, 1), 1, (radius, 0))[0, 0]


def neighbour_distance(points: Points) -> float:
    """Return the median distance of nearest neighbours, px; NaN of fewer than two points."""
    if len(points) < 2:
        return math.nan
    return float(np.median(KDTree(points).query(points, 2)[0][:, 1]))


def match_points(first: Points, second: Points, furthest: float) -> Matches:
    """Pair points of two lists, one to one, with the least total distance (Hungarian method).

    Args:
        first: [A, 2], px.
        second: [P, 2], px.
        furthest: Largest distance of a pair, px; in the total, a point without a pair counts as
            this distance.
    """
    if not len(first) or not len(second):
        return Matches(np.empty(0, np.int64), np.empty(0, np.int64))
    cost = distance.cdist(first, second)
    rows, columns = linear_sum_assignment(cost.clip(max=furthest))
    close = cost[rows, columns] <= furthest
    return Matches(rows[close], columns[close])
