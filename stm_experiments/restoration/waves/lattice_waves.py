"""Whether the waves of a lattice can be the instrument's: two crossed hums look like a lattice.

Atoms are round, so the spectrum of a lattice has sums of its two basic waves. Two waves of the
instrument have none, at most harmonics of their own. The other trace of a scan tells more: a wave
of the sample is in both traces, one that is locked to time is not, or it is mirrored.
"""

import math

import numpy as np
import torch

from stm_experiments.core.arrays import Array
from stm_experiments.core.images import fill_nearest
from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.spectra import bragg_peaks, hann_power
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.vectors import are_across
from stm_experiments.restoration.waves.plane_waves import fit_wave

LARGEST = 1024  # px; of larger images the middle is judged
_PROMINENCE = 15.0  # least power of a wave over its background; noise reaches about that
_NEAR = 1.5  # largest distance of a peak from one of the lattice's, frequency steps
_AGREES = 0.5  # least amplitude of a wave in the other trace, of that in the image
_APART = 3.0  # least distance of a wave vector from its mirror image, frequency steps


def doubt_lattice(scan: Scan, vectors: Array, other: Scan | None = None) -> str | None:
    """Return why a lattice may be waves of the instrument, as part of a sentence; None: no reason.

    Args:
        scan: As it was recorded.
        vectors: Of the lattice, (row, column) each, [2, 2] px.
        other: The trace of the other direction; None: not known.
    """
    image = _middle(scan)
    peaks = bragg_peaks(
        hann_power(image, periodic=False), prominence=_PROMINENCE, most=64, along_columns=True
    )
    waves = peaks.frequency.numpy()
    orders = np.round(waves @ vectors.T).astype(int)
    away = (waves - orders @ np.linalg.inv(vectors).T) * np.array(image.shape)
    own = (np.linalg.norm(away, axis=1) < _NEAR) & orders.any(1)
    waves, orders = waves[own], orders[own]
    unlike = are_across(waves, peaks.power.sqrt().numpy()[own], tuple(image.shape))
    if not unlike.any():
        return (
            "the scan as it was recorded shows its waves in one direction at most: noise or a "
            "denoiser can have made the rest"
        )
    second = int(unlike.argmax())
    basic = waves[[0, second]]
    if other is not None and other.data.shape == scan.data.shape:
        differing = sum(not _is_in(_middle(other), image, wave) for wave in basic)
        if differing:
            return (
                f"{'both' if differing == 2 else 'one'} of its basic waves "
                f"{'are' if differing == 2 else 'is'} not in the other trace of the scan: "
                "locked to the scan's time, as hum is"
            )
        return None
    parts = np.abs(orders @ np.linalg.inv(orders[[0, second]]))  # of the basic waves in each
    if not (parts > 0.1).all(1).any():
        return (
            "its spectrum has two plane waves without their sums, which atoms cause: they can be "
            "two hums; compare with the other trace or another scan speed, or notch them: "
            f"prepare=[{{notch: [{_named(basic[0])}, {_named(basic[1])}]}}]"
        )
    return None


def _middle(scan: Scan) -> torch.Tensor:
    """Return the middle of a scan without its plane, gaps filled, [H, W] float64."""
    half = LARGEST // 2
    rows, columns = (slice(max(0, n // 2 - half), n // 2 + half) for n in scan.data.shape)
    filled = fill_nearest(scan.data[rows, columns], scan.mask[rows, columns])
    return torch.from_numpy(subtract_plane(filled)).double()


def _named(wave: Array) -> str:
    """Return a wave (row, column) [2] 1/px as the step ``notch`` takes it."""
    down, across = wave
    angle = math.degrees(math.atan2(down, across)) % 180
    return f"[{1 / math.hypot(down, across):.4g}, {angle:.1f}]"


def _is_in(other: torch.Tensor, image: torch.Tensor, wave: Array) -> bool:
    """Return whether a wave of an image is in the other trace too.

    Args:
        other: The other trace, [H, W].
        image: [H, W].
        wave: Wave vector (row, column), [2] 1/px.
    """
    mirrored = 2 * np.abs(wave - np.round(wave)) * np.array(image.shape)
    if mirrored.min() < _APART:
        return True  # it is its own mirror image, and tells nothing
    kappa, amplitude = fit_wave(image, torch.from_numpy(2 * math.pi * wave))
    share = abs(amplitude) / float(image.std())
    return abs(fit_wave(other, kappa).amplitude) >= _AGREES * share * float(other.std())
