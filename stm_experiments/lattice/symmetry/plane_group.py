"""The plane group of a lattice: which turns, mirrors and glides keep its mean cell.

The Fourier coefficients of a cell with the symmetry (W, t) obey F(W h) = F(h) exp(2 pi i h t). For
each W that keeps the lattice, the translation t is sought that fits best: the origin of the cell
need not be known. Symbols are those of the International Tables.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stm_experiments.core.arrays import AnyArray, Array, Indices
from stm_experiments.core.planes import subtract_plane
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import LatticeFit
from stm_experiments.lattice.occupancy.mean_cell import Layout, average_cell
from stm_experiments.lattice.symmetry.bravais import Symmetry, class_metric

DIFFERENCE = 0.02  # share of the cell's variance by which an image of it may differ
_CLEAR = 2.0  # least margin of a clear group
_SLOW = 0.5  # width of the Gaussian that is subtracted, longest vectors of the cell
_SIGNIFICANT = 10.0  # power of a wave of the cell, of the median power of noise
_FINE = 96  # translations along each vector that are tried
_EQUAL = 1e-6  # relative difference of metrics that are one


class PlaneGroup(NamedTuple):
    """The symmetry of a mean cell.

    Attributes:
        name: Such as ``p4mm``.
        runner_up: The group that would follow if more, or less, difference were allowed.
        margin: By what factor the difference would have to change for it.
    """

    name: str
    runner_up: str
    margin: float

    @property
    def confidence(self) -> str:
        """Whether the group is clear: ``high`` or ``low``."""
        return "high" if self.margin > _CLEAR else "low"


class _Turn(NamedTuple):
    """A symmetry of a lattice and how much a cell and its image differ.

    Attributes:
        matrix: New vectors in units of the old ones, [2, 2].
        mirrored: Share of the variance; of a mirror line, or of a rotation.
        glided: The same of a glide line; infinite where there is none apart from the mirror.
    """

    matrix: Indices
    mirrored: float
    glided: float


def plane_group_of(image: Scan, fit: LatticeFit, symmetry: Symmetry | None) -> PlaneGroup | None:
    """Find the plane group of a lattice in an image.

    The mean cell follows the sites, so that drift and strain do not blur it. What is slower than
    the cell is subtracted first.

    Args:
        image: The image.
        fit: Its lattice.
        symmetry: The lattice's Bravais class, and the cell that repeats; None: not known.

    Returns:
        None if the class is not known, or no wave of the cell stands out of its noise.
    """
    if symmetry is None:
        return None
    heights = np.where(image.mask, subtract_plane(image.data, image.mask), 0.0)
    longest = float(np.linalg.norm(symmetry.vectors, axis=1).max())
    slow, weight = (
        ndimage.gaussian_filter(values, _SLOW * longest)
        for values in (heights, image.mask.astype(float))
    )
    heights = heights - slow / np.maximum(weight, 1e-9)
    ideal = fit.origin + (fit.cell + fit.basis[fit.kind]) @ fit.vectors
    layout = Layout(symmetry.vectors, ideal, fit.sites, fit.spacing)
    cell = average_cell(heights, image.mask, layout).values
    pixel = np.array(fit.pixel_nm or (1.0, 1.0))
    metric = class_metric(symmetry.vectors * pixel, symmetry.bravais)
    try:
        return find_plane_group(cell, metric)
    except ValueError:
        return None


def find_plane_group(cell: Array, metric: Array) -> PlaneGroup:
    """Find the plane group of a mean cell.

    Args:
        cell: On a grid along the vectors of the primitive cell, [n, m], any unit.
        metric: Scalar products of the vectors of the lattice's class, [2, 2].

    Raises:
        ValueError: If no wave of the cell stands out of its noise.
    """
    spectrum = _clear_waves(cell)
    turns = [_fit(spectrum, turn) for turn in lattice_turns(metric)]
    lengths = metric / np.diag(metric).min()
    name = _name(turns, lengths, DIFFERENCE)
    values = {value for turn in turns for value in (turn.mirrored, turn.glided)}
    limits = sorted(
        (max(value / DIFFERENCE, DIFFERENCE / max(value, 1e-12)), value)
        for value in values
        if np.isfinite(value)
    )
    for margin, value in limits:
        other = _name(turns, lengths, value * (1.001 if value > DIFFERENCE else 0.999))
        if other != name:
            return PlaneGroup(name, other, margin)
    return PlaneGroup(name, "p1" if name != "p1" else "p2", np.inf)


def lattice_turns(metric: Array) -> list[Indices]:
    """Return the turns and mirrors that keep a lattice, without the identity, [2, 2] each."""
    found = []
    for entries in itertools.product((-1, 0, 1), repeat=4):
        turn = np.array(entries).reshape(2, 2)
        is_whole = abs(round(float(np.linalg.det(turn)))) == 1
        if is_whole and np.allclose(turn @ metric @ turn.T, metric, atol=_EQUAL * metric.max()):
            found.append(turn)
    return [turn for turn in found if not np.array_equal(turn, np.eye(2))]


def _fit(spectrum: AnyArray, turn: Indices) -> _Turn:
    """Return how much a cell, of this spectrum, differs from its image at the best translation."""
    half = (np.array(spectrum.shape) - 1) // 2
    orders = np.stack(
        np.meshgrid(*(np.arange(-n, n + 1) for n in half), indexing="ij"), -1
    ).reshape(-1, 2)
    images = orders @ turn.T
    inside = (np.abs(images) <= half).all(1)
    first, second = (spectrum[tuple(h[inside].T)] for h in (orders, images))
    power = (np.abs(first) ** 2 + np.abs(second) ** 2).sum() / 2
    if power == 0:
        raise ValueError("a constant cell, or one without clear waves, has no plane group")
    product = np.zeros((_FINE, _FINE), complex)
    np.add.at(product, tuple((orders[inside] % _FINE).T), first * second.conj())
    difference = 1 - np.fft.ifft2(product).real * _FINE**2 / power
    is_mirror = round(float(np.linalg.det(turn))) == -1
    if not (is_mirror and np.array_equal(turn % 2, np.eye(2))):
        return _Turn(turn, float(difference.min()), np.inf)
    along = int(turn[0, 0] == -1)  # the vector that the mirror keeps
    mirrored, glided = (np.take(difference, n, along) for n in (0, _FINE // 2))
    return _Turn(turn, float(mirrored.min()), float(glided.min()))


def _clear_waves(cell: Array) -> AnyArray:
    """Return the Fourier coefficients of a cell, 0 where they do not stand out of its noise."""
    spectrum = np.fft.fft2(cell - cell.mean()) / cell.size
    power = np.abs(spectrum) ** 2
    return np.where(power > _SIGNIFICANT * np.median(power) / np.log(2), spectrum, 0)


def _name(turns: list[_Turn], metric: Array, limit: float) -> str:
    """Return the group of the symmetries whose difference is below a limit."""
    rotations = [turn for turn in turns if round(float(np.linalg.det(turn.matrix))) == 1]
    orders = [_order(turn.matrix) for turn in rotations if turn.mirrored < limit]
    kept = {order: orders.count(order) for order in set(orders)}
    lines = [turn for turn in turns if round(float(np.linalg.det(turn.matrix))) == -1]
    mirrors = [turn.matrix for turn in lines if turn.mirrored < limit]
    glides = [turn.matrix for turn in lines if turn.glided < limit]
    straight = [line for line in mirrors if np.array_equal(line % 2, np.eye(2))]
    diagonal = len(mirrors) - len(straight)
    if kept.get(3) == 2:
        if kept.get(6) == 2 and kept.get(2):
            return "p6mm" if len(mirrors) == 6 else "p6"
        return _trigonal(mirrors, metric)
    if kept.get(4) == 2 and kept.get(2):
        if len(straight) == 2 and diagonal == 2:
            return "p4mm"
        return "p4gm" if len(glides) == 2 and diagonal == 2 else "p4"
    if kept.get(2):
        if len(straight) + len(glides) == 2:
            return {2: "p2mm", 1: "p2mg", 0: "p2gg"}[len(straight)]
        return "c2mm" if diagonal >= 2 else "p2"
    if straight or glides:
        return "pm" if straight else "pg"
    return "cm" if diagonal else "p1"


def _trigonal(mirrors: list[NDArray[np.int64]], metric: Array) -> str:
    """Return which of the groups with threefold axes has these mirrors."""
    if len(mirrors) < 3:
        return "p3"
    kept = []
    for mirror in mirrors:
        vectors = np.array(list(itertools.product((-1, 0, 1, 2), repeat=2)))
        same = vectors[(vectors @ mirror == vectors).all(1) & vectors.any(1)]
        kept.append(min(float(vector @ metric @ vector) for vector in same))
    return "p31m" if np.median(kept) < 2 else "p3m1"


def _order(turn: Indices) -> int:
    """Return after how many turns a rotation is the identity."""
    return {-2: 2, -1: 3, 0: 4, 1: 6}[int(np.trace(turn))]
