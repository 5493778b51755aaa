"""Lattice vectors of an image: its Bragg peaks and the lattices that explain them.

All vectors are (row, column). The rows of ``vectors`` [2, 2] are the lattice vectors a1 and a2
(px), those of ``reciprocal`` the Bragg vectors g1 and g2 (1/px) with a_i g_j = 1 if i = j, else 0.
"""

from typing import NamedTuple

import numpy as np
import torch

from stm_experiments.core.arrays import Array, Mask
from stm_experiments.core.spectra import bragg_peaks, hann_power

LEAST_PERIOD = 3.0  # of a lattice, px
LARGEST_PERIOD = 0.25  # of a lattice, shorter sides of the image
_REACH = 2  # half width of a Hann-windowed peak, frequency steps
_PROMINENCE = 30.0  # power of a Bragg peak over its background; noise reaches about 15
_RIGHT = 0.052  # cosine of 87 degrees: an angle up to which noise may decide
_TOLERANCE = 1.5  # largest distance of a Bragg peak from a lattice's, frequency steps
_ALONG = 0.1  # sine of the angle within which a wave lies along another
_ROUNDING = 0.01  # amplitude of leakage and rounding, of the strongest wave
_HARMONIC = 0.3  # largest amplitude of a folded harmonic, of the strongest wave
_HARMONICS = 15  # that sampling folds back
_ON_HARMONIC = 0.5  # distance along each axis, frequency steps


class LatticeError(ValueError):
    """An image in which no lattice was found; the message is one sentence."""


class LatticeCandidate(NamedTuple):
    """A lattice that explains Bragg peaks.

    Attributes:
        vectors: Reduced lattice vectors (row, column), [2, 2] px.
        waves: The strongest Bragg vectors (row, column) that it explains, [M, 2] 1/px.
        miller: Their Miller indices, [M, 2] integers.
        weight: Their amplitudes, [M].
        explained: Share of the amplitude of all Bragg peaks that it explains.
    """

    vectors: Array
    waves: Array
    miller: Array
    weight: Array
    explained: float


def find_bragg_vectors(image: Array, most: int = 24) -> tuple[Array, Array]:
    """Find the strongest peaks of the Hann-windowed power spectrum, one of each pair g, -g.

    A peak stands out of the median power at its radius *and* of the median of its own column of the
    spectrum, which holds what is constant along the rows: row offsets and 1/f noise. If no other
    direction has a wave of its own (``are_across``), peaks of other directions are left out.

    Args:
        image: [H, W].
        most: Number of peaks at most.

    Returns:
        Bragg vectors (row, column) [P, 2] (1/px) and their amplitudes [P], strongest first.
    """
    power = hann_power(torch.from_numpy(image), periodic=False)
    peaks = bragg_peaks(power, prominence=_PROMINENCE, most=most, reach=_REACH, along_columns=True)
    bragg, amplitude = peaks.frequency.numpy(), peaks.power.sqrt().numpy()
    if not are_across(bragg, amplitude, image.shape).any():
        along = ~are_off_line(bragg)
        return bragg[along], amplitude[along]
    return bragg, amplitude


def are_across(bragg: Array, amplitude: Array, shape: tuple[int, ...]) -> Mask:
    """Return which Bragg peaks are waves of another direction than the strongest one, [P].

    A strong wave alone has peaks of other directions too: its leakage, its rounding to steps of the
    file, and its harmonics, which sampling folds back. They do not count.

    Args:
        bragg: Bragg vectors (row, column), strongest first, [P, 2] 1/px.
        amplitude: Their amplitudes, [P].
        shape: Of the image, px.
    """
    share = amplitude / amplitude[:1]
    orders = np.arange(-_HARMONICS, _HARMONICS + 1)[:, None, None]
    away = bragg - orders * bragg[:1]
    steps = np.abs(away - np.round(away)) * np.array(shape)
    folded = (steps.max(2) < _ON_HARMONIC).any(0) & (share < _HARMONIC)
    return np.asarray(are_off_line(bragg) & (share > _ROUNDING) & ~folded, bool)


def are_off_line(bragg: Array) -> Mask:
    """Return which Bragg vectors [P, 2] have another direction than the first one, [P]."""
    return np.asarray(_sines(bragg) > _ALONG, bool)


def _sines(bragg: Array) -> Array:
    """Return the sines of the angles between Bragg vectors [P, 2] and the first one, [P]."""
    unit = bragg / np.linalg.norm(bragg, axis=1)[:, None]
    return np.asarray(np.abs(unit[:, 0] * unit[:1, 1] - unit[:, 1] * unit[:1, 0]))


def reduce_vectors(vectors: Array) -> Array:
    """Return the shortest vectors of the same lattice, at 60 to 120 degrees (Lagrange and Gauss).

    The first is the shorter one and points right (or straight down). The second lies towards axis 0
    from it if they are at a right angle to within 3 degrees, else at the obtuse angle: equal
    lattices have equal vectors.

    Args:
        vectors: (row, column) each, [2, 2].
    """
    a, b = np.array(vectors, dtype=float)
    while True:
        if a @ a > b @ b:
            a, b = b, a
        shorter = b - np.round((a @ b) / (a @ a)) * a
        if not shorter @ shorter < (1 - 1e-12) * (b @ b):  # two equal ones would alternate for ever
            break
        b = shorter
    if a[1] < 0 or (a[1] == 0 and a[0] < 0):
        a = -a
    cosine = (a @ b) / np.sqrt((a @ a) * (b @ b))
    if cosine > _RIGHT or (cosine > -_RIGHT and a[1] * b[0] - a[0] * b[1] < 0):
        b = -b
    return np.stack([a, b])


def candidate_lattices(
    bragg: Array, amplitude: Array, size: int, per_octave: int = 5
) -> list[LatticeCandidate]:
    """Return lattices that two Bragg vectors generate, or sums and differences of the strongest.

    Args:
        bragg: Bragg vectors (row, column), [P, 2] 1/px.
        amplitude: Their amplitudes, [P].
        size: Shorter side of the image, px.
        per_octave: Number of lattices at most in each octave of the cell's area: a large cell
            explains more peaks, by chance too.

    Returns:
        Lattices with periods from 3 px to a quarter of the image; none if all peaks are collinear.
    """
    i, j = np.triu_indices(min(len(bragg), 8), 1)
    waves = np.concatenate([bragg, bragg[i] - bragg[j], bragg[i] + bragg[j]])
    waves = waves[np.linalg.norm(waves, axis=1) * size > 3]
    i, j = np.triu_indices(len(waves), 1)
    area = 1 / np.maximum(np.abs(waves[i, 0] * waves[j, 1] - waves[i, 1] * waves[j, 0]), 1e-9)
    fits = (area > LEAST_PERIOD**2) & (area < (LARGEST_PERIOD * size) ** 2)
    pairs, area = np.stack([waves[i[fits]], waves[j[fits]]], 1), area[fits]
    index = bragg @ np.linalg.inv(pairs)
    away = np.linalg.norm((index - np.round(index)) @ pairs, axis=2) * size
    explained = (away < _TOLERANCE) @ amplitude
    octave = np.log2(area).astype(int)
    lattices: list[LatticeCandidate] = []
    for number in np.unique(octave):
        members = np.flatnonzero(octave == number)
        best: list[LatticeCandidate] = []
        strongest = members[np.argsort(-explained[members], kind="stable")]
        for pair in pairs[strongest[: 8 * per_octave]]:
            lattice = refine_lattice(reduce_vectors(np.linalg.inv(pair).T), bragg, amplitude, size)
            if lattice is None or any(
                _same(lattice.vectors, other.vectors) for other in lattices + best
            ):
                continue
            lengths = np.linalg.norm(lattice.vectors, axis=1)
            if lengths.min() > LEAST_PERIOD and lengths.max() < LARGEST_PERIOD * size:
                best.append(lattice)
        lattices += sorted(best, key=lambda lattice: -lattice.explained)[:per_octave]
    return lattices


def explained_waves(vectors: Array, bragg: Array, size: int, tolerance: float = _TOLERANCE) -> Mask:
    """Return which Bragg vectors are waves of a lattice, [P].

    Args:
        vectors: Of the lattice, (row, column) each, [2, 2] px.
        bragg: Bragg vectors (row, column), [P, 2] 1/px.
        size: Shorter side of the image, px.
        tolerance: Largest distance from a wave of the lattice, frequency steps.
    """
    index = np.round(bragg @ vectors.T)
    away = np.linalg.norm(bragg - index @ np.linalg.inv(vectors).T, axis=1)
    return np.asarray((away * size < tolerance) & index.any(1), bool)


def refine_lattice(
    vectors: Array, bragg: Array, amplitude: Array, size: int
) -> LatticeCandidate | None:
    """Fit a lattice to the Bragg peaks near its reciprocal lattice; None if they are collinear.

    Args:
        vectors: (row, column) each, [2, 2] px.
        bragg: Bragg vectors (row, column), [P, 2] 1/px.
        amplitude: Their amplitudes, [P].
        size: Shorter side of the image, px.
    """
    for _ in range(3):
        index = np.round(bragg @ vectors.T)
        near = explained_waves(vectors, bragg, size)
        if np.linalg.matrix_rank(index[near]) < 2:
            return None
        weight = amplitude[near, None]
        reciprocal = np.linalg.lstsq(weight * index[near], weight * bragg[near], rcond=None)[0]
        vectors = np.linalg.inv(reciprocal).T
    vectors = reduce_vectors(vectors)
    explained = float(amplitude[near].sum() / amplitude.sum())
    most = max(_first_two(bragg[near]), 6)
    waves, weight = bragg[near][:most], amplitude[near][:most]
    index = np.round(waves @ vectors.T)
    return LatticeCandidate(vectors, waves, index, weight, explained)


def _first_two(waves: Array) -> int:
    """Return how many of the strongest waves have two clearly different directions."""
    return int(np.argmax(_sines(waves) > 0.3)) + 1


def _same(one: Array, other: Array) -> bool:
    """Return whether two pairs of vectors generate the same lattice."""
    change = one @ np.linalg.inv(other)
    whole = np.round(change)
    return bool(np.abs(change - whole).max() < 0.1 and abs(np.linalg.det(whole)) == 1)
