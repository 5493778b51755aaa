"""Local phases of Bragg peaks: where in the lattice each point of an image lies."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import unwrap_phase

from stm_experiments.core.arrays import Array
from stm_experiments.lattice.vectors import LatticeCandidate

_WINDOW = 1.5  # standard deviation of the window of the phases, longer lattice vectors
_STEPS = 3  # of the grid in that length


class CellMap(NamedTuple):
    """Where in a lattice the points of an image lie: on the undistorted one, and how far from it.

    Attributes:
        reciprocal: Bragg vectors g1 and g2 of the undistorted lattice, (row, column) [2, 2] 1/px.
        shift: Of the image's lattice from it, from an unknown origin and on a grid, in units of the
            lattice vectors, [2, h, w].
        strength: Of the Bragg peaks around the point, relative to the upper quartile, [h, w].
        step: Of the grid along axes 0 and 1, [2] px.
    """

    reciprocal: Array
    shift: Array
    strength: Array
    step: Array

    def at(self, points: Array) -> tuple[Array, Array]:
        """Return coordinates [P, 2] and strengths [P] at points (row, column) [P, 2] px."""
        place = (points / self.step).T
        *shift, strength = (
            ndimage.map_coordinates(field, place, order=1, mode="nearest")
            for field in (*self.shift, self.strength)
        )
        return points @ self.reciprocal.T + np.stack(shift, 1), strength


def map_cells(spectrum: NDArray[np.complex128], lattice: LatticeCandidate) -> CellMap:
    """Map where in a lattice the points of an image lie, from the local phases of its Bragg peaks.

    The phase of a Bragg peak within a Gaussian window follows drift, strain and creep, as in
    geometric phase analysis (Hytch et al., Ultramicroscopy 74, 131, 1998). The window passes only
    the frequencies around the peak, so that a coarse grid holds all of it.

    Args:
        spectrum: Fourier transform of the image, [H, W].
        lattice: From ``candidate_lattices``.
    """
    sides = np.array(spectrum.shape)
    window = _WINDOW * float(np.linalg.norm(lattice.vectors, axis=1).max())
    points = np.minimum(sides, np.ceil(_STEPS * sides / window)).astype(int)
    weight = lattice.weight[:, None]
    solve = np.linalg.pinv(weight * lattice.miller) * weight.T
    shift, power = np.zeros((2, *points)), np.zeros(points)
    for g, share in zip(lattice.waves, solve.T, strict=True):
        wave = _envelope(spectrum, g, points, window)
        shift += share[:, None, None] * _unwrapped(wave) / np.pi / 2
        power += np.abs(wave) ** 2
    strength = np.sqrt(power)
    strength /= np.percentile(strength, 75)
    return CellMap(solve @ lattice.waves, shift, strength, sides / points)


def _envelope(
    spectrum: NDArray[np.complex128], g: Array, points: Array, window: float
) -> NDArray[np.complex128]:
    """Return a wave's complex amplitude within a Gaussian window, on a grid.

    Args:
        spectrum: Fourier transform of the image, [H, W].
        g: Wave vector (row, column), [2] 1/px.
        points: Of the grid along axes 0 and 1, at most H and W.
        window: Standard deviation, px.
    """
    places, passes, turns = [], [], []
    for side, n, frequency in zip(spectrum.shape, points, g, strict=True):
        centre = round(frequency * side)
        order = centre + np.roll(np.arange(-(n // 2), n - n // 2), -(n // 2))  # as ifft wants it
        places.append(order % side)
        passes.append(np.exp(-2 * (np.pi * window * (order / side - frequency)) ** 2))
        # The transform turns by whole steps of frequency; the rest of g is made up for here.
        turns.append(np.exp(2j * np.pi * (centre / side - frequency) * side / n * np.arange(n)))
    part = spectrum[np.ix_(*places)] * np.outer(*passes)
    return np.asarray(np.fft.ifft2(part) * np.outer(*turns))


def _unwrapped(wave: NDArray[np.complex128]) -> Array:
    """Return the phase of a field [h, w] without jumps of 2 pi, rad."""
    phase: Array = unwrap_phase(np.angle(wave))  # type: ignore[no-untyped-call, unused-ignore]
    return phase
