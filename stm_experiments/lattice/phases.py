"""Local phases of Bragg peaks: where in the lattice each point of an image lies."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import unwrap_phase

from stm_experiments.core.arrays import Array
from stm_experiments.lattice.vectors import LatticeCandidate

_WINDOW = 1.5  # standard deviation of the window of the phases, longer lattice vectors


class CellMap(NamedTuple):
    """Where in a lattice the points of an image lie, on a grid.

    Attributes:
        coordinates: In units of the lattice vectors from an unknown origin, [2, h, w].
        strength: Of the Bragg peaks around the point, relative to the upper quartile, [h, w].
        step: Of the grid, px.
    """

    coordinates: Array
    strength: Array
    step: int

    def at(self, points: Array) -> tuple[Array, Array]:
        """Return coordinates [P, 2] and strengths [P] at points (row, column) [P, 2] px."""
        place = points.T / self.step
        values = [
            ndimage.map_coordinates(field, place, order=1, mode="nearest")
            for field in (*self.coordinates, self.strength)
        ]
        return np.stack(values[:2], 1), values[2]


def map_cells(spectrum: NDArray[np.complex128], lattice: LatticeCandidate) -> CellMap:
    """Map where in a lattice the points of an image lie, from the local phases of its Bragg peaks.

    The phase of a Bragg peak within a Gaussian window follows drift, strain and creep, as in
    geometric phase analysis (Hytch et al., Ultramicroscopy 74, 131, 1998).

    Args:
        spectrum: Fourier transform of the image, [H, W].
        lattice: From ``candidate_lattices``.
    """
    height, width = spectrum.shape
    window = _WINDOW * float(np.linalg.norm(lattice.vectors, axis=1).max())
    step = max(1, int(window / 3))
    frequencies = np.stack(
        np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    )
    grid = np.indices((height, width))[:, ::step, ::step]
    turns, strengths = [], []
    for g in lattice.waves:
        away = ((frequencies - g[:, None, None]) ** 2).sum(0)
        wave = np.fft.ifft2(spectrum * np.exp(-2 * (np.pi * window) ** 2 * away))[::step, ::step]
        whole = np.tensordot(g, grid, 1)
        turns.append(whole + _unwrapped(wave * np.exp(-2j * np.pi * whole)) / np.pi / 2)
        strengths.append(np.abs(wave))
    weight = lattice.weight[:, None]
    solve = np.linalg.pinv(weight * lattice.miller) * weight.T
    strength = np.sqrt((np.array(strengths) ** 2).sum(0))
    return CellMap(np.tensordot(solve, turns, 1), strength / np.percentile(strength, 75), step)


def _unwrapped(wave: NDArray[np.complex128]) -> Array:
    """Return the phase of a field [h, w] without jumps of 2 pi, rad."""
    phase: Array = unwrap_phase(np.angle(wave))  # type: ignore[no-untyped-call, unused-ignore]
    return phase
