"""Grains: parts of an image with one lattice and orientation each.

Parts of the image give the lattices. Then each pixel belongs to the lattice whose waves are
strongest around it, and the lattice of each grain is fitted within it.
"""

import contextlib
import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from stm_experiments.core.arrays import Array, Indices, Mask
from stm_experiments.core.planes import subtract_plane
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import LatticeFit, find_lattice
from stm_experiments.lattice.measured import as_measured
from stm_experiments.lattice.vectors import LatticeError

_PARTS = 3  # along each axis in which lattices are sought, half as long as the image
_ROUNDS = 2  # of labelling and fitting
_WINDOW = 1.0  # standard deviation of the window around a pixel, longer lattice vectors
_ORDERS = 1  # largest Miller index of the waves that are looked at
_SAME = (
    0.07  # largest difference of the vectors of one distorted lattice, of their length: 4 degrees
)
_LEAST = 0.05  # smallest grain, of the image
_DIGITS = 9  # after the point that are kept, so that a lattice is not turned from itself
_STRAIN = 0.12  # largest strain between two grains of one crystal, the distortion by drift included
_WEAK = 0.25  # amplitude below which a pixel is in no grain, of the typical one


class Grains(NamedTuple):
    """The grains of an image. G grains.

    Attributes:
        labels: The grain of each pixel, 0 to G - 1, -1 for none, [H, W].
        fits: The lattice of each grain, the largest grain first.
        misorientation: Least angle that turns the lattice of a grain into that of another, in
            degrees, counter-clockwise in the picture; NaN where the lattices differ, [G, G].
        strain: Largest strain between the two lattices that the turn leaves, [G, G].
    """

    labels: Indices
    fits: list[LatticeFit]
    misorientation: Array
    strain: Array


class Misorientation(NamedTuple):
    """How two lattices differ.

    Attributes:
        angle: Least angle that turns one into the other, degrees, counter-clockwise in the picture,
            whose axis 0 points down; NaN if they differ by too large a strain.
        strain: Largest strain that the turn leaves.
    """

    angle: float
    strain: float


def segment_grains(
    image: Scan | ArrayLike,
    mask: Mask | None = None,
    pixel_nm: tuple[float, float] | None = None,
) -> Grains:
    """Divide an image into grains with one lattice and orientation each.

    Args:
        image: A scan, or [H, W] in any unit; atoms are bright.
        mask: True where measured, [H, W]; None: the scan's mask, or everywhere.
        pixel_nm: Size of a pixel along axes 0 and 1, nm; None: the scan's, or unknown.

    Raises:
        LatticeError: If no lattice is found, or the image cannot be used.
    """
    data, mask, pixel_nm = as_measured(image, mask, pixel_nm)
    valid = np.isfinite(data) if mask is None else np.isfinite(data) & mask
    fits = _unlike(_lattices_of_parts(data, valid, pixel_nm))
    if not fits:  # the whole image says why
        fits = [find_lattice(data, valid, pixel_nm)]
    for _ in range(_ROUNDS):
        labels = _label(data, valid, fits)
        grains = [labels == grain for grain in range(len(fits))]
        parts = [_refit(data, grain, pixel_nm) for grain in grains if grain.mean() >= _LEAST]
        fits = _unlike([fit for fit in parts if fit is not None]) or fits
    labels = _label(data, valid, fits)
    size = np.bincount(labels[labels >= 0], minlength=len(fits))
    order = np.argsort(-size, kind="stable")
    rank = np.append(np.argsort(order), -1)
    fits = [fits[number] for number in order]
    pixel = np.array(pixel_nm or (1.0, 1.0))
    pairs = [
        [find_misorientation(a.vectors * pixel, b.vectors * pixel) for b in fits] for a in fits
    ]
    angles, strains = np.moveaxis(np.array(pairs), 2, 0)
    return Grains(rank[labels], fits, angles, strains)


def find_misorientation(first: Array, second: Array) -> Misorientation:
    """Return the least turn of a lattice into another, and the strain that is left.

    Args:
        first: Its vectors (row, column) in one unit of length, [2, 2].
        second: Those of the other, [2, 2].
    """
    found = []
    for entries in itertools.product((-1, 0, 1), repeat=4):
        change = np.array(entries).reshape(2, 2)
        if abs(round(float(np.linalg.det(change)))) != 1:
            continue
        u, stretch, vt = np.linalg.svd(np.linalg.inv(change @ first) @ second)
        turn = u @ vt
        if np.linalg.det(turn) > 0:
            strain = float(np.abs(np.log(stretch)).max())
            found.append((strain, float(np.degrees(np.arctan2(turn[0, 1], turn[0, 0])))))
    least = min(strain for strain, _ in found)
    if least > _STRAIN:
        return Misorientation(float("nan"), least)
    strain, angle = min(
        (one for one in found if one[0] < least + 0.01), key=lambda one: abs(one[1])
    )
    return Misorientation(round(angle, _DIGITS), round(strain, _DIGITS))


def _lattices_of_parts(
    data: Array, valid: Mask, pixel_nm: tuple[float, float] | None
) -> list[LatticeFit]:
    """Return the lattices of an image and of overlapping parts, half as long as it."""
    height, width = data.shape
    shifts = itertools.product(np.linspace(0, 0.5, _PARTS), repeat=2)
    corners = [(round(down * height), round(across * width)) for down, across in shifts]
    parts = [
        (slice(top, top + height // 2), slice(left, left + width // 2)) for top, left in corners
    ]
    fits = []
    for part in [(slice(None), slice(None)), *parts]:
        with contextlib.suppress(LatticeError):
            fits.append(find_lattice(data[part], valid[part], pixel_nm))
    return fits


def _unlike(fits: list[LatticeFit]) -> list[LatticeFit]:
    """Return the lattices that differ, of equal ones that with the smallest residual."""
    unlike: list[LatticeFit] = []
    for fit in sorted(fits, key=lambda fit: fit.residual / fit.spacing):
        if not any(_are_same(fit.vectors, other.vectors) for other in unlike):
            unlike.append(fit)
    return unlike


def _are_same(first: Array, second: Array) -> bool:
    """Return whether two pairs of reduced vectors are one lattice."""
    change = np.round(first @ np.linalg.inv(second))
    misfit = np.linalg.norm(change @ second - first, axis=1) / np.linalg.norm(first, axis=1)
    return bool(round(abs(np.linalg.det(change))) == 1 and misfit.max() < _SAME)


def _refit(data: Array, grain: Mask, pixel_nm: tuple[float, float] | None) -> LatticeFit | None:
    """Find the lattice of a grain [H, W] once more within it; None if there is none."""
    try:
        return find_lattice(data, grain, pixel_nm)
    except LatticeError:
        return None


def _label(data: Array, valid: Mask, fits: list[LatticeFit]) -> Indices:
    """Return the grain whose waves are strongest around each pixel, -1 for none, [H, W]."""
    flat = np.where(valid, subtract_plane(np.where(valid, data, 0.0), valid), 0.0)
    amplitudes = np.stack([_local_amplitude(flat, valid, fit.vectors) for fit in fits])
    strongest = amplitudes.max(0)
    labels = np.where(strongest < _WEAK * np.median(strongest[valid]), -1, amplitudes.argmax(0))
    side = 2 * round(0.5 * max(fit.spacing for fit in fits)) + 1
    counts = [
        ndimage.uniform_filter((labels == grain).astype(float), side)
        for grain in range(-1, len(fits))
    ]
    return np.asarray(np.where(valid, np.argmax(counts, axis=0) - 1, -1))


def _local_amplitude(flat: Array, valid: Mask, vectors: Array) -> Array:
    """Return how strong the waves of a lattice are around each pixel, [H, W]."""
    window = _WINDOW * float(np.linalg.norm(vectors, axis=1).max())
    orders = itertools.product(range(_ORDERS + 1), range(-_ORDERS, _ORDERS + 1))
    waves = np.array([order for order in orders if order > (0, 0)]) @ np.linalg.inv(vectors).T
    rows, columns = (np.arange(side) for side in flat.shape)
    covered = ndimage.gaussian_filter(valid.astype(float), window)
    power = np.zeros(flat.shape)
    for down, across in waves:
        turned = flat * np.exp(-2j * np.pi * (down * rows[:, None] + across * columns))
        for part in (turned.real, turned.imag):
            power += ndimage.gaussian_filter(part, window) ** 2
    return np.asarray(np.sqrt(power) / np.maximum(covered, 0.1))
