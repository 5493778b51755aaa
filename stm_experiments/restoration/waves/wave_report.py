"""A warning if a network removed a whole plane wave: noise, or a charge-density wave."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from stm_experiments.core.units import amount
from stm_experiments.restoration.waves.plane_waves import SMALLEST, strongest_wave

LARGEST = 512  # px; larger images are judged by their centre, to save time


class RemovedWave(NamedTuple):
    """The strongest plane wave in the difference of two images.

    Attributes:
        kappa: Wave vector along axes 0 and 1, rad per px.
        rms: Root mean square, units of the images.
        periods: In the image.
        share: Its amplitude in the difference over its amplitude in the first image.
        prominence: Its amplitude over that of the difference around it; see ``PlaneWave``.
    """

    kappa: tuple[float, float]
    rms: float
    periods: float
    share: float
    prominence: float


@dataclass(frozen=True)
class ReportRules:
    """From which values on a removed wave is reported; see ``RemovedWave``.

    They were set by hand and tested by ``benchmarks.ablation`` on 15 to 25 images of each kind.

    Attributes:
        share: Least share of the wave that is gone. Off: a quarter more wrong reports where the
            sample has a charge-density wave; 1.0: no striation is reported.
        rms: Least root mean square on [-1, 1]. Off: reports in half of the images without noise;
            0.04: equal.
        periods: Least periods in the image; fewer are a bow. Off: reports in 28 % more of the
            images with slow noise; 12: a quarter of the striations is missed.
        invented: Share above which the wave is not gone but new: it is in the second image alone.
            1 means that all of a wave is gone; the rest is a margin for its noise.
        prominence: Least amplitude over that of the difference at similar frequencies: noise has a
            strongest wave too. Off: reports in 12 of 12 images whose noise is slow along the lines.
    """

    share: float = 0.5
    rms: float = 0.02
    periods: float = 6.0
    invented: float = 1.8
    prominence: float = 6.0

    def report(self, wave: RemovedWave) -> bool:
        """Return whether the wave is worth a sentence."""
        return (
            wave.share >= self.share
            and wave.rms >= self.rms
            and wave.periods >= self.periods
            and wave.prominence >= self.prominence
        )


RULES = ReportRules()


def removed_wave(before: Tensor, after: Tensor) -> RemovedWave:
    """Fit the strongest plane wave that is in one image and not in the other.

    Args:
        before: [H, W].
        after: [H, W] on the same scale.
    """
    height, width = (min(side, LARGEST) for side in before.shape)
    top, left = (before.shape[0] - height) // 2, (before.shape[1] - width) // 2
    part = (slice(top, top + height), slice(left, left + width))
    wave = strongest_wave((before - after)[part], before[part])
    down, across = wave.kappa.tolist()
    return RemovedWave(
        kappa=(down, across),
        rms=float(wave.wave.std()),
        periods=math.hypot(down * height, across * width) / (2 * math.pi),
        share=wave.share,
        prominence=wave.prominence,
    )


def wave_report(
    before: Tensor,
    after: Tensor,
    scale: float,
    unit: str,
    pixel_size: tuple[float, float] | None,
) -> list[str]:
    """Describe the strongest plane wave that a network removed or invented.

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
    wave = removed_wave(before, after)
    if not RULES.report(wave):
        return []
    if pixel_size is None:
        period = f"{2 * math.pi / math.hypot(*wave.kappa):.3g} px"
    else:
        per_nm = math.hypot(*(k / side for k, side in zip(wave.kappa, pixel_size, strict=True)))
        period = amount(2 * math.pi / per_nm * 1e-9, "m")
    crest = amount(2 * math.sqrt(2) * wave.rms * scale, unit)
    name = f"a plane wave of period {period}, {crest} from trough to crest,"
    if wave.share > RULES.invented:
        return [f"{name} was invented: it is hardly in the scan"]
    return [f"{name} was removed by the model: a striation or hum, or else a wave of the sample"]
