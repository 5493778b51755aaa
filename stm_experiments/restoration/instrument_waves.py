"""Plane waves that look like the instrument's: striations, hum and other sharp frequencies.

The frequency of an instrument is constant in time. In a scan it is a plane wave over the whole
image, in any direction, because its phase goes on from row to row. The waves of a sample come with
others: a lattice has several Bragg peaks whose wave vectors add up to each other, a charge-density
wave or a moire changes the lattice, so that satellites surround the lattice's peaks. One image
alone does not always tell them apart; the backward trace does, in which a wave that is locked to
the time runs the other way along the fast axis.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.spectra import BraggPeaks, bragg_peaks, hann_power
from stm_experiments.restoration.plane_waves import SMALLEST, fit_wave

LARGEST = 1024  # px; of larger images the middle is judged


@dataclass(frozen=True)
class SuspicionRules:
    """When a wave is suspected to be the instrument's; tested by ``benchmarks.waves``.

    Attributes:
        prominence: Least power of its peak over its background.
        least: Least amplitude, of the image's standard deviation.
        related: The same of the peaks that can be its relatives; white noise reaches about 15.
        most: Peaks of the spectrum that are looked at.
        strongest: Of them, the peaks of which one takes part in every sum or difference.
        tolerance: Of such sums, frequency steps.
        partner: Largest relative difference of lengths, and difference of angles (rad) from 60 or
            90 degrees, of two waves that a symmetry joins.
        across: Least periods along the fast axis; with fewer it is an offset of rows.
        even: Least amplitude in a ninth of the image, of the mean over all ninths.
        same: Share of the amplitude in the backward trace from which a wave is the sample's.
    """

    prominence: float = 30.0
    least: float = 0.04
    related: float = 15.0
    most: int = 64
    strongest: int = 6
    tolerance: float = 0.25
    partner: float = 0.06
    across: float = 1.5
    even: float = 0.5
    same: float = 0.5


RULES = SuspicionRules()


class SuspectedWave(NamedTuple):
    """A plane wave that looks like the instrument's: a cos(kappa x + phase).

    Attributes:
        kappa: Wave vector along axes 0 and 1, rad per px.
        amplitude: a, unit of the image.
        phase: In the image's pixel (H // 2, W // 2), rad.
        reason: Why it is suspected, a clause.
    """

    kappa: tuple[float, float]
    amplitude: float
    phase: float
    reason: str

    def heights(self, shape: tuple[int, ...]) -> Tensor:
        """Return the wave on an image of this shape, [H, W] float32."""
        angles = [
            k * (torch.arange(side, dtype=torch.float64) - side // 2)
            for k, side in zip(self.kappa, shape, strict=True)
        ]
        down, across = (torch.polar(torch.ones_like(angle), angle) for angle in angles)
        down *= self.amplitude * complex(math.cos(self.phase), math.sin(self.phase))
        down, across = (torch.view_as_real(part).float() for part in (down, across))
        return torch.outer(down[:, 0], across[:, 0]) - torch.outer(down[:, 1], across[:, 1])


def find_suspected_waves(
    image: Tensor, backward: Tensor | None = None, rules: SuspicionRules = RULES
) -> list[SuspectedWave]:
    """Find the plane waves of an image that look like the instrument's, the strongest first.

    Args:
        image: [H, W].
        backward: The backward trace, unmirrored, [H, W], if there is one.
        rules: When a wave is suspected.

    Returns:
        None in an image of less than 128 px.
    """
    if min(image.shape) < SMALLEST:
        return []
    part = _middle(image)
    other = None if backward is None else _middle(backward)
    power = hann_power(part.double(), periodic=False)
    candidates, peaks = (
        bragg_peaks(power, prominence=prominence, most=rules.most, along_columns=True)
        for prominence in (rules.prominence, rules.related)
    )
    clear = (peaks.place[:, None] == candidates.place).all(2).any(1)
    deviation = float(part.std())
    waves: list[SuspectedWave] = []
    for number in clear.nonzero()[:, 0].tolist():
        if other is None and _has_relatives(peaks, number, part.shape, rules):
            continue
        if abs(float(peaks.frequency[number, 1])) * part.shape[1] < rules.across:
            continue
        rest = part - sum((wave.heights(part.shape) for wave in waves), torch.zeros(1))
        kappa, complex_amplitude = fit_wave(rest, 2 * math.pi * peaks.frequency[number])
        reason = _reason(rest, other, kappa, rules)
        if reason is not None and abs(complex_amplitude) > rules.least * deviation:
            amplitude, phase = (
                abs(complex_amplitude),
                math.atan2(complex_amplitude.imag, complex_amplitude.real),
            )
            down, across = kappa.tolist()
            waves.append(SuspectedWave((down, across), amplitude, phase, reason))
    return waves


def _middle(image: Tensor) -> Tensor:
    """Return the middle of an image, whose px (H // 2, W // 2) stays where it is."""
    parts = [slice(max(0, n // 2 - LARGEST // 2), n // 2 + LARGEST // 2) for n in image.shape]
    return image[parts[0], parts[1]] if max(image.shape) > LARGEST else image


def _has_relatives(
    peaks: BraggPeaks, number: int, shape: torch.Size, rules: SuspicionRules
) -> bool:
    """Return whether a peak belongs to others, as a lattice's and its satellites do."""
    steps = peaks.frequency * torch.tensor(shape, dtype=peaks.frequency.dtype)
    own, rest = steps[number], torch.cat([steps[:number], steps[number + 1 :]])
    both = torch.cat([rest, -rest])
    strong = rest[: rules.strongest]
    sums = torch.cat([(strong[:, None] + both).reshape(-1, 2), rest / 2, 2 * rest])
    away = torch.minimum((sums - own).norm(dim=1), (sums + own).norm(dim=1))
    # In a spectrum of many peaks some sums meet by chance: as many as the sums' density says.
    area = math.pi * float(steps.norm(dim=1).max()) ** 2
    chance = 2 * len(sums) * math.pi * rules.tolerance**2 / area
    met = int((away < rules.tolerance).sum())
    return met > chance + 2 * math.sqrt(chance) or _has_partner(peaks, number, rules)


def _has_partner(peaks: BraggPeaks, number: int, rules: SuspicionRules) -> bool:
    """Return whether another peak is this one turned by 60, 90 or 120 degrees."""
    own = peaks.frequency[number]
    ratio = peaks.frequency.norm(dim=1) / own.norm()
    cosine = (peaks.frequency @ own) / (ratio * own.norm() ** 2)
    angle = torch.acos(cosine.abs().clamp(max=1.0))  # of lines, up to 90 degrees
    turned = torch.stack([(angle - math.radians(a)).abs() for a in (60, 90)]).amin(0)
    alike = (peaks.power / peaks.power[number]).log().abs() < math.log(8.0)
    return bool((((ratio - 1).abs() < rules.partner) & (turned < rules.partner) & alike).any())


def _reason(
    image: Tensor, backward: Tensor | None, kappa: Tensor, rules: SuspicionRules
) -> str | None:
    """Say why a wave looks like the instrument's; None if it does not."""
    ninths = _local_amplitudes(image, kappa)
    mean = ninths.mean().abs()
    if ninths.abs().min() < rules.even * mean or mean < 0.8 * ninths.abs().mean():
        return None
    down, across = (kappa / (2 * math.pi)).tolist()
    time = (
        f"locked to the scan's time ({abs(across) * image.shape[1]:.3g} periods along the fast "
        f"axis, {abs(down):.3g} of a period further from row to row)"
    )
    if backward is None:
        return f"{time}, without the partners and satellites that waves of a sample have"
    share = float(_local_amplitudes(backward, kappa).mean().abs() / mean)
    if share >= rules.same:
        return None
    return f"{time}, and {share:.0%} of it in the backward trace"


def _local_amplitudes(image: Tensor, kappa: Tensor) -> Tensor:
    """Return the complex amplitudes of a wave in the nine ninths of an image, [9]."""
    height, width = image.shape
    rows, columns = (
        torch.exp(-1j * k * torch.arange(n, dtype=torch.float64))
        for k, n in zip(kappa, (height, width), strict=True)
    )
    values = []
    for i in range(3):
        for j in range(3):
            down = slice(i * height // 3, (i + 1) * height // 3)
            across = slice(j * width // 3, (j + 1) * width // 3)
            part = image[down, across].double()
            window = torch.outer(
                *(torch.hann_window(n, periodic=False, dtype=torch.float64) for n in part.shape)
            )
            window /= window.sum()
            weighted = ((part - (part * window).sum()) * window).to(torch.complex128)
            values.append(2 * rows[down] @ weighted @ columns[across])
    return torch.stack(values)
