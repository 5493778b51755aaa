"""A warning where a denoiser took a whole wave off a scan: noise, or a charge-density wave."""

import math

import numpy as np
from torch import Tensor

from stm_experiments.core.units import amount
from stm_experiments.restoration.plane_waves import strongest_wave

SMALLEST, LARGEST = 128, 512  # px, least side that shows a wave, and side of what is looked at
SHARE = 0.5  # of the wave that is gone
MADE_UP = 1.8  # from which on what is gone was not there, but what is there now was made
PROMINENCE = 15.0  # of its peak over the median of what is gone
WEAKEST = 0.02  # its height over the range of the image, root mean square on [-1, 1]
PERIODS = 6  # in the image, at least: fewer are a bow


def lost_wave(
    before: Tensor,
    after: Tensor,
    scale: float,
    unit: str,
    pixel_size: tuple[float, float] | None,
) -> list[str]:
    """What to tell about the strongest plane wave that is in one image and not in the other.

    Args:
        before: [H, W] on [-1, 1].
        after: [H, W] on the same scale.
        scale: Of one on that scale, in ``unit``.
        unit: Of the scan.
        pixel_size: nm per px along axes 0 and 1; None: unknown.

    Returns:
        One sentence, or none.
    """
    if min(before.shape) < SMALLEST:
        return []
    height, width = (min(side, LARGEST) for side in before.shape)
    top, left = (before.shape[0] - height) // 2, (before.shape[1] - width) // 2
    part = (slice(top, top + height), slice(left, left + width))
    wave = strongest_wave((before - after)[part], before[part])
    root_mean_square = float(wave.wave.std())
    kappa = wave.kappa.cpu().numpy()
    periods = float(np.hypot(*(kappa * (height, width)))) / (2 * math.pi)
    if (
        wave.share < SHARE
        or wave.prominence < PROMINENCE
        or root_mean_square < WEAKEST
        or periods < PERIODS
    ):
        return []
    if pixel_size is None:
        period = f"{2 * math.pi / np.hypot(*kappa):.3g} px"
    else:
        period = amount(2 * math.pi / float(np.hypot(*(kappa / pixel_size))) * 1e-9, "m")
    crest = amount(2 * math.sqrt(2) * root_mean_square * scale, unit)
    shape = f"a plane wave of period {period}, {crest} from trough to crest,"
    if wave.share > MADE_UP:
        return [f"{shape} was made up: it is hardly in the scan"]
    return [
        f"{shape} was taken off: striation or hum, or else a wave of the sample: compare with the "
        "model denoiser_cdw"
    ]
