"""Atoms in a denoised image: found, matched with the true list, and missing ones kept missing."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree, distance
from torch import Tensor
from torch.nn import functional as F

Points = NDArray[np.float64]
Indices = NDArray[np.intp]

# Least-squares parabola z = a + b u + c v + d u^2 + e v^2 + f u v on the 3x3 px around a maximum.
_U, _V = (axis.ravel().astype(float) for axis in np.mgrid[-1:2, -1:2])
_PARABOLA = np.linalg.pinv(np.stack([np.ones(9), _U, _V, _U**2, _V**2, _U * _V], 1))


def find_atoms(image: Tensor, radius: int = 2, border: int = 2) -> Points:
    """Maxima of an image to a fraction of a pixel.

    A pixel that is the largest within ``radius`` px along both axes is a maximum; the top of the
    parabola fitted to its 3x3 neighbourhood, at most 1 px away, is its position.

    Args:
        image: [H, W].
        radius: Reach of a maximum, px; less than half the distance of two atoms.
        border: Maxima closer to the border are left out, px; at least 1.

    Returns:
        [P, 2] px of axes 0 and 1, pixel 0 is the first.
    """
    # A plateau, which only an image without noise has, is no maximum.
    highest, lowest = (
        sign * F.max_pool2d(sign * image[None, None], 2 * radius + 1, 1, radius)[0, 0]
        for sign in (1, -1)
    )
    inside = torch.zeros(image.shape, dtype=torch.bool, device=image.device)
    inside[border:-border, border:-border] = True
    place = ((image == highest) & (image > lowest) & inside).nonzero().cpu().numpy()
    if not len(place):
        return np.empty((0, 2))
    pixels = image.double().cpu().numpy()
    near = pixels[place[:, :1] + _U.astype(int), place[:, 1:] + _V.astype(int)]
    _, b, c, d, e, f = _PARABOLA @ near.T
    determinant = 4 * d * e - f * f
    peaked = (determinant > 0) & (d < 0)  # a ridge has no top: its pixel stands
    safe = np.where(peaked, determinant, 1)
    offset = np.stack([(f * c - 2 * e * b) / safe, (f * b - 2 * d * c) / safe], 1)
    return place + np.where(peaked[:, None], offset.clip(-1, 1), 0)


def spacing(points: Points) -> float:
    """Median distance of nearest neighbours, px; NaN of fewer than two points."""
    if len(points) < 2:
        return math.nan
    return float(np.median(KDTree(points).query(points, 2)[0][:, 1]))


def visible_atoms(atoms: Points, clean: Tensor, border: int = 4) -> Points:
    """The true atoms that the clean image shows as maxima of their own.

    An atom below the surface is covered by those above it. It counts as visible if a maximum of the
    clean image lies within 1 px of it and is matched with it.

    Args:
        atoms: True positions [A, 2], px of axes 0 and 1.
        clean: [H, W].
        border: Atoms closer to the border are left out, px.

    Returns:
        [V, 2].
    """
    size = np.array(clean.shape)
    inside = ((atoms >= border) & (atoms <= size - 1 - border)).all(1)
    return atoms[inside][match(atoms[inside], find_atoms(clean), 1.0)[0]]


def match(
    true: Points, found: Points, furthest: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of true and found positions of least total distance (Hungarian method).

    Args:
        true: [A, 2], px.
        found: [P, 2], px.
        furthest: Pairs further apart are none, px. They cost as much as no pair.

    Returns:
        Indices into ``true`` and ``found`` of the pairs.
    """
    if not len(true) or not len(found):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    cost = distance.cdist(true, found)
    rows, columns = linear_sum_assignment(cost.clip(max=furthest))
    close = cost[rows, columns] <= furthest
    return rows[close], columns[close]


def position_errors(output: Tensor, true: Points) -> dict[str, float]:
    """How far the atoms of an image are from where they truly are.

    Args:
        output: [H, W].
        true: Positions of the atoms that can be seen [A, 2], px; see ``visible_atoms``.

    Returns:
        ``atom_rmse``: root mean squared error per coordinate of the matched atoms, px;
        ``atoms_missed``: share of the true atoms without a maximum within 0.4 of the distance of
        nearest neighbours. NaN without true atoms.
    """
    if not len(true):
        return {"atom_rmse": math.nan, "atoms_missed": math.nan}
    near = spacing(true) if len(true) > 1 else 8.0
    found = find_atoms(output, max(1, int(0.3 * near)))
    rows, columns = match(true, found, 0.4 * near)
    error = true[rows] - found[columns]
    rmse = math.sqrt(float(np.mean(error**2))) if len(rows) else math.nan
    return {"atom_rmse": rmse, "atoms_missed": 1 - len(rows) / len(true)}


def position_bound(sigma: float, amplitude: Points) -> float:
    """The least root mean squared error per coordinate of an unbiased estimate, px.

    (sigma / A) sqrt(2 / pi), the Cramer-Rao bound of a lone Gaussian of amplitude A, whatever its
    width, in white noise of deviation sigma; the root mean square over atoms of several amplitudes.

    Args:
        sigma: Deviation of the noise, in the unit of the amplitudes.
        amplitude: Heights of the atoms above the ground [A].
    """
    if not len(amplitude):
        return math.nan
    return sigma * math.sqrt(2 / math.pi * float(np.mean(1 / np.square(amplitude))))


def vacancy_preservation(
    output: Tensor, full: Tensor, vacancy: Tensor, sites: Points, reach: int = 1
) -> float:
    """Whether missing atoms stay missing: h = (I_out - I_vacancy) / (I_full - I_vacancy).

    I is the mean over the (2 reach + 1)^2 px around a site; the mean of h over the sites is taken.

    Args:
        output: What was made of a noisy image of ``vacancy``, [H, W].
        full: The clean image with all atoms, [H, W].
        vacancy: The same without the atoms at the sites, [H, W].
        sites: Their positions [S, 2], px, more than ``reach`` from the border.
        reach: px.

    Returns:
        0: kept; 1: invented away; NaN without sites.

    Raises:
        ValueError: If a site shows no difference between the full image and the vacancy.
    """
    if not len(sites):
        return math.nan
    place = torch.from_numpy(np.rint(sites).astype(np.int64))
    near = torch.arange(-reach, reach + 1)
    rows, columns = (place[:, axis, None] + near for axis in (0, 1))
    out, whole, missing = (
        image.double().cpu()[rows[:, :, None], columns[:, None, :]].mean((1, 2))
        for image in (output, full, vacancy)
    )
    if bool((whole == missing).any()):
        raise ValueError("an atom that is missing at a site must be seen there in the full image")
    return float(((out - missing) / (whole - missing)).mean())
