"""Errors of atoms against the truth: displaced, missed, or put where one is missing."""

import math

import numpy as np
import torch
from torch import Tensor

from stm_experiments.core.arrays import Points
from stm_experiments.lattice.atoms import find_atoms, match_points, neighbour_distance


def visible_atoms(atoms: Points, clean: Tensor, border: int = 4) -> Points:
    """Return the true atoms that are maxima of their own in the clean image.

    An atom below the surface is covered by those above it. It counts as visible if a maximum of the
    clean image lies within 1 px of it and is matched with it.

    Args:
        atoms: True positions (row, column), [A, 2] px.
        clean: [H, W].
        border: Atoms closer to the border are left out, px.

    Returns:
        [V, 2] px.
    """
    size = np.array(clean.shape)
    inside = ((atoms >= border) & (atoms <= size - 1 - border)).all(1)
    return atoms[inside][match_points(atoms[inside], find_atoms(clean), 1.0).first]


def position_errors(output: Tensor, true: Points) -> dict[str, float]:
    """Compare the atoms of an image with their true positions.

    Args:
        output: [H, W].
        true: Positions (row, column) of the visible atoms, [A, 2] px; see ``visible_atoms``.

    Returns:
        ``atom_rmse``: root mean squared error per coordinate of the matched atoms, px;
        ``atoms_missed``: share of the true atoms without a maximum within 0.4 of the distance of
        nearest neighbours. NaN without true atoms.
    """
    if not len(true):
        return {"atom_rmse": math.nan, "atoms_missed": math.nan}
    spacing = neighbour_distance(true) if len(true) > 1 else 8.0
    maxima = find_atoms(output, max(1, int(0.3 * spacing)))
    pairs = match_points(true, maxima, 0.4 * spacing)
    error = true[pairs.first] - maxima[pairs.second]
    rmse = math.sqrt(float(np.mean(error**2))) if len(error) else math.nan
    return {"atom_rmse": rmse, "atoms_missed": 1 - len(error) / len(true)}


def position_bound(sigma: float, amplitude: Points) -> float:
    """Return the least root mean squared error per coordinate of an unbiased estimate, px.

    (sigma / A) sqrt(2 / pi), the Cramer-Rao bound of a lone Gaussian of amplitude A, of any width,
    in white noise of standard deviation sigma; the root mean square over atoms of several
    amplitudes.

    Args:
        sigma: Standard deviation of the noise, in the unit of the amplitudes.
        amplitude: Heights of the atoms above the ground, [A].
    """
    if not len(amplitude):
        return math.nan
    return sigma * math.sqrt(2 / math.pi * float(np.mean(1 / np.square(amplitude))))


def vacancy_preservation(
    output: Tensor, full: Tensor, vacancy: Tensor, sites: Points, reach: int = 1
) -> float:
    """Measure whether missing atoms stay missing: h = (I_out - I_vacancy) / (I_full - I_vacancy).

    I is the mean over the (2 reach + 1)^2 px around a site; the mean of h over the sites is taken.

    Args:
        output: The output for a noisy image of ``vacancy``, [H, W].
        full: The clean image with all atoms, [H, W].
        vacancy: The clean image without the atoms at the sites, [H, W].
        sites: Their positions (row, column), [S, 2] px, more than ``reach`` from the border.
        reach: px.

    Returns:
        0: all atoms stay missing; 1: all are filled in; NaN without sites.

    Raises:
        ValueError: If a site shows no difference between the full image and the vacancy.
    """
    if not len(sites):
        return math.nan
    place = torch.from_numpy(np.rint(sites).astype(np.int64))
    near = torch.arange(-reach, reach + 1)
    rows, columns = (place[:, axis, None] + near for axis in (0, 1))
    restored, whole, missing = (
        image.double().cpu()[rows[:, :, None], columns[:, None, :]].mean((1, 2))
        for image in (output, full, vacancy)
    )
    if bool((whole == missing).any()):
        raise ValueError("an atom that is missing at a site must be seen there in the full image")
    return float(((restored - missing) / (whole - missing)).mean())
