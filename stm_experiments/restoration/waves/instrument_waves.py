"""Plane waves that look like the instrument's: striations, hum and other sharp frequencies.

The frequency of an instrument is constant in time. In a scan it is a plane wave over the whole
image, in any direction, because its phase goes on from row to row. The waves of a sample come with
others: a lattice has several Bragg peaks whose wave vectors add up to each other, a charge-density
wave or a moire changes the lattice, so that satellites surround the lattice's peaks. One image
alone does not always tell them apart, so that such waves are removed only on request.

The other trace of a scan tells: it was recorded with time running the other way along the rows. A
wave of the sample has the same wave vector in both traces. One that is locked to time has the
wave vector (k0, k1) in one and (k0, -k1) in the other, as each row takes the same time in both.
"""

import cmath
import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stm_experiments.core.arrays import Array
from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.spectra import BraggPeaks, bragg_peaks, hann_power
from stm_experiments.core.units import amount
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.measured import measured_part
from stm_experiments.restoration.waves.bragg_index import indexed_peaks
from stm_experiments.restoration.waves.plane_waves import SMALLEST, fit_wave

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
        periods: Least periods in the image: terraces and bows have fewer.
        across: Least periods along the fast axis; with fewer it is an offset of rows.
        even: Least amplitude in a quarter of the image, of the mean over all quarters.
        suspects: Waves without relatives that are named, at most.
        ahead: Least amplitude of the weakest of them over that of the next wave without relatives:
            where several are about as strong, those of the sample have none either.
        beside: Stronger peaks within this distance are subtracted before a wave is fitted,
            frequency steps.
        covering: Strongest peaks in whose flanks further peaks are sought.
        flank: Of such a peak, frequency steps.
        hidden: Least amplitude of a peak in a flank, of the strongest one.
        agrees: Least amplitude of a wave that is in the other trace too, of that in the image.
        apart: Least distance of a wave vector from its mirror image, frequency steps.
    """

    prominence: float = 30.0
    least: float = 0.04
    related: float = 15.0
    most: int = 64
    strongest: int = 16
    tolerance: float = 0.25
    partner: float = 0.06
    periods: float = 4.5
    across: float = 1.5
    even: float = 0.6
    suspects: int = 2
    ahead: float = 1.3
    beside: float = 5.0
    covering: int = 8
    flank: float = 3.5
    hidden: float = 0.25
    agrees: float = 0.5
    apart: float = 3.0


RULES = SuspicionRules()


class Evidence(Enum):
    """Why a wave is suspected, or not, as the history says it."""

    ALONE = "without the partners and satellites that waves of a sample have"
    ABSENT = f"{ALONE}, and not in the other trace of the scan"
    MIRRORED = "and mirrored in the other trace of the scan"
    SAME = "the same in the other trace"


class SuspectedWave(NamedTuple):
    """A plane wave that looks like the instrument's: a cos(kappa x + phase).

    Attributes:
        kappa: Wave vector along axes 0 and 1, rad per px.
        amplitude: a, unit of the image.
        phase: In the image's pixel (H // 2, W // 2), rad.
        evidence: Why it is suspected.
    """

    kappa: tuple[float, float]
    amplitude: float
    phase: float
    evidence: Evidence

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


def treat_waves(scan: Scan, other: Scan | None = None, *, remove: bool) -> Scan:
    """Name the waves of a scan that look like the instrument's in its history, or subtract them.

    Args:
        scan: As it goes to a denoiser.
        other: The trace of the other direction; None: not known.
        remove: Whether the waves are subtracted from the measured pixels.
    """
    part = measured_part(scan)
    if min(part.data.shape) < SMALLEST:
        small = f"waves were not sought: the scan has less than {SMALLEST} px along a side"
        return replace(scan, history=(*scan.history, small)) if remove else scan
    image = _without_plane(part.data)
    mirrored = None
    if other is not None and other.data.shape == scan.data.shape:
        mirrored = _without_plane(other.data[part.rows, part.columns])
    waves = find_suspected_waves(image, mirrored)
    sentences = [_sentence(wave, scan, remove=remove) for wave in waves]
    if not remove:
        return replace(scan, history=(*scan.history, *sentences))
    if not waves:
        return replace(scan, history=(*scan.history, "no wave looks like the instrument's"))
    data = np.array(scan.data)
    for wave in waves:
        data[part.rows, part.columns] -= wave.heights(part.data.shape).numpy()
    data[~scan.mask] = scan.data[~scan.mask]
    return scan.with_data(data, *sentences)


def _sentence(wave: SuspectedWave, scan: Scan, *, remove: bool) -> str:
    """Describe a wave: period, direction, amplitude, why it is suspected, what was done."""
    down, across = (k / (2 * math.pi) for k in wave.kappa)
    period = f"{1 / math.hypot(down, across):.3g} px"
    if scan.pixel_size is not None:
        high, wide = scan.pixel_size
        period += f" ({amount(1e-9 / math.hypot(down / high, across / wide), 'm')})"
    angle = math.degrees(math.atan2(down, across)) % 180
    name = (
        f"plane wave of period {period}, its normal {angle:.0f} degrees from the fast axis, "
        f"amplitude {amount(wave.amplitude, scan.unit)}, locked to the scan's time "
        f"({abs(across) * scan.data.shape[1]:.3g} periods in a row, {abs(down):.3g} of a period "
        f"further in the next), {wave.evidence.value}"
    )
    if remove:
        return f"removed as the instrument's: {name}"
    return f"perhaps the instrument's, and kept (remove_waves=true subtracts it): {name}"


def find_suspected_waves(
    image: Tensor, other: Tensor | None = None, rules: SuspicionRules = RULES
) -> list[SuspectedWave]:
    """Find the plane waves of an image that look like the instrument's, the strongest first.

    Args:
        image: Without its plane, [H, W].
        other: The other trace of the same scan without its plane, [H, W]; None: not known.
        rules: When a wave is suspected.
    """
    power = hann_power(image.double(), periodic=False)
    candidates, peaks = (
        bragg_peaks(power, prominence=prominence, most=rules.most, along_columns=True)
        for prominence in (rules.prominence, rules.related)
    )
    clear = (peaks.place[:, None] == candidates.place).all(2).any(1)
    image = image.double()
    peaks, clear = _with_hidden(image, peaks, clear, rules)
    indexed = indexed_peaks(_steps(peaks, image.shape))
    deviation = float(image.std())
    waves: list[SuspectedWave] = []
    for number in clear.nonzero()[:, 0].tolist():
        start = peaks.frequency[number]
        periods = [abs(f) * side for f, side in zip(start.tolist(), image.shape, strict=True)]
        excluded = periods[1] < rules.across or math.hypot(*periods) < rules.periods
        if excluded:
            continue
        related = bool(indexed[number]) or _has_relatives(
            peaks, number, indexed, image.shape, rules
        )
        if related and other is None:
            continue
        rest = _without_neighbours(image, peaks, number, rules)
        kappa, amplitude = fit_wave(rest, 2 * math.pi * start)
        share = abs(amplitude) / deviation
        if share < rules.least or not _is_even(rest, kappa, rules):
            continue
        evidence = Evidence.ALONE if other is None else _evidence(kappa, share, other, rules)
        if evidence is Evidence.SAME or (related and evidence is not Evidence.MIRRORED):
            continue
        down, across = kappa.tolist()
        waves.append(
            SuspectedWave((down, across), abs(amplitude), cmath.phase(amplitude), evidence)
        )
    return _convincing(waves, rules)


def _convincing(waves: list[SuspectedWave], rules: SuspicionRules) -> list[SuspectedWave]:
    """Return the waves that are proved by the other trace, and the others if they stand out."""
    waves = sorted(waves, key=lambda wave: -wave.amplitude)
    proved = [wave for wave in waves if wave.evidence is Evidence.MIRRORED]
    alone = [wave for wave in waves if wave.evidence is not Evidence.MIRRORED]
    heights = [*(wave.amplitude for wave in alone), 0.0]
    for count in range(1, min(rules.suspects, len(alone)) + 1):
        if heights[count - 1] > rules.ahead * heights[count]:
            return sorted([*proved, *alone[:count]], key=lambda wave: -wave.amplitude)
    return proved


def _steps(peaks: BraggPeaks, shape: torch.Size) -> Tensor:
    """Return the frequencies of peaks in frequency steps, [P, 2]."""
    return peaks.frequency * torch.tensor(shape, dtype=peaks.frequency.dtype)


def _without_wave(image: Tensor, frequency: Tensor) -> Tensor:
    """Subtract the wave of a peak, its frequency in cycles per px, from an image [H, W]."""
    (down, across), amplitude = fit_wave(image, 2 * math.pi * frequency)
    kappa = (float(down), float(across))
    wave = SuspectedWave(kappa, abs(amplitude), cmath.phase(amplitude), Evidence.SAME)
    return image - wave.heights(image.shape)


def _with_hidden(
    image: Tensor, peaks: BraggPeaks, clear: Tensor, rules: SuspicionRules
) -> tuple[BraggPeaks, Tensor]:
    """Add the peaks that appear in the flanks of the strongest ones when these are subtracted.

    Args:
        image: [H, W].
        peaks: The strongest first.
        clear: Which of them are prominent, [P] bool.
        rules: When a peak counts.

    Returns:
        All peaks, the strongest first, and which of them are prominent.
    """
    if not len(peaks.power):
        return peaks, clear
    rest = image
    for frequency in peaks.frequency[: rules.covering]:
        rest = _without_wave(rest, frequency)
    power = hann_power(rest, periodic=False)
    more = bragg_peaks(power, prominence=rules.prominence, most=rules.most, along_columns=True)
    away = torch.cdist(_steps(more, image.shape), _steps(peaks, image.shape))
    hidden = (away.amin(1) > 1) & (away[:, : rules.covering].amin(1) < rules.flank)
    hidden &= more.power > rules.hidden**2 * peaks.power[0]
    joined = [torch.cat([old, new[hidden]]) for old, new in zip(peaks, more, strict=True)]
    order = joined[2].argsort(descending=True)
    clear = torch.cat([clear, hidden[hidden]])[order]
    return BraggPeaks(*(values[order] for values in joined)), clear


def _without_neighbours(
    image: Tensor, peaks: BraggPeaks, number: int, rules: SuspicionRules
) -> Tensor:
    """Subtract the waves of the stronger peaks beside a peak, whose flanks would bias its fit."""
    steps = _steps(peaks, image.shape)
    near = (steps[:number] - steps[number]).norm(dim=1) < rules.beside
    for frequency in peaks.frequency[:number][near]:
        image = _without_wave(image, frequency)
    return image


def _evidence(kappa: Tensor, share: float, other: Tensor, rules: SuspicionRules) -> Evidence:
    """Look for a wave in the other trace.

    Args:
        kappa: Wave vector, rad per px, [2].
        share: Its amplitude, of the image's standard deviation.
        other: The other trace without its plane, [H, W].
        rules: When it is there.
    """
    height, width = other.shape
    turned = float(kappa[0]) / math.pi  # twice the wave vector along axis 0, periods per px
    down, across = abs(turned - round(turned)) * height, abs(float(kappa[1])) / math.pi * width
    if min(down, across) < rules.apart:  # the wave is its own mirror image
        return Evidence.ALONE
    least = rules.agrees * share * float(other.std())
    same, mirrored = (
        abs(fit_wave(other, kappa * torch.tensor(signs)).amplitude) >= least
        for signs in ((1.0, 1.0), (1.0, -1.0))
    )
    if same:
        return Evidence.SAME
    return Evidence.MIRRORED if mirrored else Evidence.ABSENT


def _without_plane(image: Array) -> Tensor:
    """Return the middle of an image without its plane.

    Its px (H // 2, W // 2) is that of the whole image.
    """
    half = LARGEST // 2
    rows, columns = (slice(max(0, n // 2 - half), n // 2 + half) for n in image.shape)
    return torch.from_numpy(subtract_plane(image[rows, columns]))


def _has_relatives(
    peaks: BraggPeaks, number: int, indexed: Tensor, shape: torch.Size, rules: SuspicionRules
) -> bool:
    """Return whether a peak belongs to others, as a lattice's and its satellites do.

    A peak of the lattice (``indexed``) can be a part of a sum, and is no partner of another wave.
    """
    steps = _steps(peaks, shape)
    own, rest = steps[number], torch.cat([steps[:number], steps[number + 1 :]])
    both = torch.cat([rest, -rest])
    strong = rest[: rules.strongest]
    sums = torch.cat([(strong[:, None] + both).reshape(-1, 2), rest / 2, 2 * rest])
    away = torch.minimum((sums - own).norm(dim=1), (sums + own).norm(dim=1))
    # In a spectrum of many peaks some sums meet by chance: as many as the sums' density says.
    area = math.pi * float(steps.norm(dim=1).max()) ** 2
    chance = 2 * len(sums) * math.pi * rules.tolerance**2 / area
    met = int((away < rules.tolerance).sum())
    return met > chance + 2 * math.sqrt(chance) or _has_partner(peaks, number, ~indexed, rules)


def _has_partner(peaks: BraggPeaks, number: int, among: Tensor, rules: SuspicionRules) -> bool:
    """Return whether another peak (``among``) is this one turned by 60, 90 or 120 degrees."""
    own = peaks.frequency[number]
    ratio = peaks.frequency.norm(dim=1) / own.norm()
    cosine = (peaks.frequency @ own) / (ratio * own.norm() ** 2)
    angle = torch.acos(cosine.abs().clamp(max=1.0))  # of lines, up to 90 degrees
    turned = torch.stack([(angle - math.radians(a)).abs() for a in (60, 90)]).amin(0)
    alike = (peaks.power / peaks.power[number]).log().abs() < math.log(8.0)
    alike &= among & ((ratio - 1).abs() < rules.partner)
    return bool((alike & (turned < rules.partner)).any())


def _is_even(image: Tensor, kappa: Tensor, rules: SuspicionRules) -> bool:
    """Return whether a wave has about the same amplitude and phase all over an image."""
    quarters = _local_amplitudes(image, kappa)
    mean = float(quarters.mean().abs())
    return bool(
        quarters.abs().min() >= rules.even * mean >= rules.even * 0.8 * quarters.abs().mean()
    )


def _local_amplitudes(image: Tensor, kappa: Tensor) -> Tensor:
    """Return the complex amplitudes of a wave in the quarters of an image, [4]."""
    height, width = image.shape
    rows, columns = (
        torch.exp(-1j * k * torch.arange(n, dtype=torch.float64))
        for k, n in zip(kappa, (height, width), strict=True)
    )
    values = []
    for i in range(2):
        for j in range(2):
            down = slice(i * height // 2, (i + 1) * height // 2)
            across = slice(j * width // 2, (j + 1) * width // 2)
            part = image[down, across].double()
            window = torch.outer(
                *(torch.hann_window(n, periodic=False, dtype=torch.float64) for n in part.shape)
            )
            window /= window.sum()
            weighted = ((part - (part * window).sum()) * window).to(torch.complex128)
            values.append(2 * rows[down] @ weighted @ columns[across])
    return torch.stack(values)
