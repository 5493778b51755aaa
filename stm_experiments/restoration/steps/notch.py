"""Plane waves of given period and direction, subtracted."""

import cmath
import math
from typing import Any

import numpy as np

from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.units import amount
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.steps.arguments import pairs

FARTHEST = 1.5  # Fourier bins between the given wave vector and the fitted one


def notch(scan: Scan, argument: Any) -> Scan:
    """Subtract plane waves, each fitted near the one that was named.

    Args:
        scan: Before or after levelling.
        argument: [period, angle], or a list of them: px, and degrees of the wave's normal from the
            fast axis, clockwise as in the picture. The history of a denoised scan names waves so.

    Raises:
        ValueError: If no wave of about that period and angle is found.
    """
    # Here, for this takes a second that levelling can do without.
    import torch

    from stm_experiments.restoration.measured import measured_part
    from stm_experiments.restoration.waves.instrument_waves import Evidence, SuspectedWave
    from stm_experiments.restoration.waves.plane_waves import fit_wave

    part = measured_part(scan)
    data = np.array(scan.data)
    sentences = []
    for period, angle in waves(argument):
        turn = math.radians(angle)
        start = torch.tensor([math.sin(turn), math.cos(turn)], dtype=torch.float64)
        start *= 2 * math.pi / period
        flat = subtract_plane(data[part.rows, part.columns])
        fitted = fit_wave(torch.from_numpy(flat), start)
        bins = (fitted.kappa - start) * torch.tensor(flat.shape) / (2 * math.pi)
        if float(bins.abs().max()) > FARTHEST:
            raise ValueError(f"prepare: the scan has no wave of {period:g} px at {angle:g} degrees")
        amplitude, phase = cmath.polar(fitted.amplitude)
        down, across = map(float, fitted.kappa)
        wave = SuspectedWave((down, across), amplitude, phase, Evidence.ALONE)
        data[part.rows, part.columns] -= wave.heights(flat.shape).numpy()
        sentences.append(
            f"plane wave removed as named: period {2 * math.pi / math.hypot(down, across):.4g} px, "
            f"its normal {math.degrees(math.atan2(down, across)) % 180:.1f} degrees from the fast "
            f"axis, amplitude {amount(amplitude, scan.unit)}"
        )
    data[~scan.mask] = scan.data[~scan.mask]
    return scan.with_data(data, *sentences)


def waves(argument: Any) -> list[list[float]]:
    """Return the argument of ``notch``: period and angle of each wave.

    Raises:
        ValueError: If it is no such list, or a period is shorter than 2 px.
    """
    meaning = "[period in px, angle in degrees], or a list of them"
    found = pairs(argument, "notch", meaning)
    if any(period < 2 for period, _ in found):
        raise ValueError(f"prepare: notch takes {meaning}, with periods of 2 px or more")
    return found
