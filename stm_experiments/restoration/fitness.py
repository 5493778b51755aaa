"""Whether a denoiser fits a scan: a verdict with its reasons, by fixed rules."""

import math
from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from stm_experiments.core.noise import (
    correlated_noise,
    mean_power,
    noise_levels,
    noise_spectrum,
)
from stm_experiments.core.units import amount
from stm_experiments.restoration.mixture.local_risk import SMALLEST, WholeMixture
from stm_experiments.restoration.mixture.single_features import CERTAIN
from stm_experiments.restoration.whole_atoms import find_rises

_LINES = 4.0  # level of whole lines over that of slow changes from which lines count as offset
_CORRELATED = 2.0  # ratio of the levels of slow and fast changes; white noise reaches 1.7
_BEHIND = 2.0  # dB behind the best filter from which the network counts as unfit
_LEAST_SHARE = 0.05  # of the noise; a smaller error cannot be told from the noise's own uncertainty
_TOGETHER = 0.2  # correlation of successive steps from line to line above which they are no offsets
_SEEN = 0.002  # level from which noise that is correlated between lines counts, of half the range
_CENTRE = 1024  # px, side of the part that is judged by its levels
_CLEAR = 5.0  # deviations of the noise by which atoms rise where no vacancy is filled


class Verdict(Enum):
    """What a denoiser can do for a scan."""

    INSIDE = "inside what the model learnt"
    OUTSIDE = "outside of what the model learnt"
    UNCHANGED = "nothing to remove that can be told from the sample"
    SMALL = "too small to be denoised, and left as it is"


@dataclass(frozen=True)
class Fitness:
    """The verdict whether a denoiser fits a scan.

    Attributes:
        verdict: In one word.
        reasons: Sentences without a full stop, with the scan's numbers.
        expected_gain: Noise before over estimated error after, dB, at most 13. Noise that is slow
            along the fast axis or of whole lines is not counted in full.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    expected_gain: float

    def sentences(self) -> list[str]:
        """Return the verdict and its reasons for the history of a scan."""
        return [f"{self.verdict.value}: {self.reasons[0]}", *self.reasons[1:]]


def assess_fitness(image: Tensor, mixture: WholeMixture, scale: float, unit: str) -> Fitness:
    """Judge a scan by the weights that its experts got and by the levels of its noise.

    Args:
        image: The network's input, [H, W].
        mixture: What became of it.
        scale: Of one on the image's scale, in ``unit``.
        unit: Of the scan.
    """
    if min(image.shape) < SMALLEST:
        reason = f"the noise of less than {SMALLEST} px along a side cannot be measured"
        return Fitness(Verdict.SMALL, (reason,), 0.0)
    noise = amount(math.sqrt(mixture.noise) * scale, unit)
    share, used = float(mixture.shares[0]), float(mixture.shares.sum())
    network, *filters = (_gain(mixture.noise, float(error)) for error in mixture.alone)
    total = _gain(mixture.noise, mixture.error)
    slow = _slow_noise_sentences(image, scale, unit)
    counted = (
        "; they can be far too high, as noise that is slow or of whole lines does not count in full"
    )
    if used == 0:
        verdict = Verdict.UNCHANGED
        reasons = [f"{noise} rms of noise were measured; to remove them would change the sample"]
    else:
        fits = network > 0 and network > max(filters) - _BEHIND
        verdict = Verdict.INSIDE if fits else Verdict.OUTSIDE
        reasons = [
            f"{noise} rms of noise were measured; the network alone would "
            f"{_change(network, 'the error')}, the best Wiener filter of the scan's own patches "
            f"would {_change(max(filters))}, their mixture would {_change(total)} "
            f"(estimates{counted if slow else ''})",
            f"of the result, {share:.0%} come from the network, {used - share:.0%} from the "
            f"filters, {max(0.0, 1 - used):.0%} from the scan itself",
            *_returned_sentence(mixture.returned),
            *([] if mixture.deviation is not None else _filled_sentence(image, mixture.output)),
        ]
    return Fitness(verdict, (*reasons, *slow, *_correlated_sentence(image)), total)


def _returned_sentence(share: float) -> list[str]:
    """Say where the result follows the scan; nothing where it does so nowhere."""
    if share == 0:
        return []
    return [
        f"on {share:.2%} of the pixels the estimates lack something that is more than "
        f"{CERTAIN:g} deviations of the noise, such as a vacancy: there the result follows the scan"
    ]


def _filled_sentence(image: Tensor, output: Tensor) -> list[str]:
    """Say that vacancies may be filled; nothing where the atoms rise far above the noise."""
    recorded, result = (_centre(part).cpu().numpy() for part in (image, output))
    rises = find_rises(result)
    spread = rises.spread_of_removed(recorded)
    if rises.usual >= _CLEAR * spread:
        return []
    return [
        "single vacancies may be filled if the maxima of the result are atoms: they rise by "
        f"{rises.usual / spread:.1f} deviations of the noise smoothed alike, and vacancies are "
        f"kept from {_CLEAR:g} on (uncertainty=true marks the atoms that are not certain)"
    ]


def surplus_sentence(image: Tensor, output: Tensor, scale: float, unit: str) -> list[str]:
    """Say that a network removed more than the noise; nothing where it did not, or in doubt.

    What was removed is noise less the error. Its mean square exceeds that of the noise by no more
    than that of the error, so that twice the noise's means an error as large as the noise.

    Args:
        image: The network's input, [H, W].
        output: Its output, [H, W].
        scale: Of one on the image's scale, in ``unit``.
        unit: Of the scan.
    """
    part = _centre(image)
    if min(part.shape) < SMALLEST:
        return []
    noise = mean_power(noise_spectrum(part), part.shape[1])
    surplus = float((_centre(output) - part).square().mean()) - noise
    if surplus <= noise:
        return []
    least, most = (amount(math.sqrt(power) * scale, unit) for power in (surplus, noise))
    return [
        f"more was removed than the noise that can be told for sure, {most} rms: at least {least} "
        "rms of the sample are gone, unless they were stripes, hum or slow noise (look at the "
        "residual; the shipped surface_denoiser removes only what it can tell from the sample)"
    ]


def _centre(image: Tensor) -> Tensor:
    """Return the central part of an image [H, W] that is judged by its levels."""
    top, left = (max(0, side - _CENTRE) // 2 for side in image.shape)
    return image[top : top + _CENTRE, left : left + _CENTRE]


def _gain(noise: float, error: float) -> float:
    """Return noise over error, dB, at most what can be told; 0 without noise.

    The estimated error is a difference of large numbers, and may be below 0.
    """
    return -10 * math.log10(max(error / noise, _LEAST_SHARE)) if noise > 0 else 0.0


def _change(gain: float, error: str = "it") -> str:
    """Say by how many dB a gain lowers or raises the error."""
    if 10 ** (-gain / 10) <= _LEAST_SHARE:
        return f"lower {error} by more than {gain:.0f} dB"
    return f"{'raise' if gain < 0 else 'lower'} {error} by {abs(gain):.1f} dB"


def _slow_noise_sentences(image: Tensor, scale: float, unit: str) -> list[str]:
    """Say that noise is slow or of whole lines, which cannot be removed without doubt."""
    part = _centre(image)
    _, slow, _, fast = noise_levels(part[None, None])[0].tolist()
    spectrum = noise_spectrum(part)
    whole_lines, neighbour = spectrum[:, 0].mean(), spectrum[:, 3].mean()
    sentences = []
    if whole_lines > _LINES**2 * neighbour:
        rms = math.sqrt(float(whole_lines - neighbour) / part.shape[1])
        offset = amount(rms * scale, unit)
        sentences.append(f"whole lines are offset by about {offset} rms: {_advice(part)}")
    if slow > _CORRELATED * fast:
        sentences.append(
            "the noise is slow along the fast axis (1/f): part of it cannot be told from the "
            "sample and stays"
        )
    if sentences:
        sentences.append(
            "slow noise stays in part; if the sample is flat here, without steps, islands, moiré "
            "or waves, reconstruct checkpoint=denoiser alone=true removes more of it"
        )
    return sentences


def _correlated_sentence(image: Tensor) -> list[str]:
    """Say that noise is correlated between lines; nothing where it is not."""
    if correlated_noise(_centre(image)) <= _SEEN:
        return []
    return [
        "the noise is correlated between lines, as after smoothing or compression: most of it "
        "cannot be told from the sample and stays"
    ]


def _advice(image: Tensor) -> str:
    """Say what to do about lines that are offset; see docs/denoising.md for how often it helps.

    Lines with offsets of their own step up and down by turns. Lines of a wave along the slow axis,
    or of a slope of the sample, step the same way several times.
    """
    steps = image.diff(dim=0).median(1).values
    steps = steps - steps.mean()
    together = (steps[1:] * steps[:-1]).mean() > _TOGETHER * steps.square().mean()
    if together:
        return "they rise and fall together like a wave or the sample, so rows_differences harms"
    return "prepare=rows_differences aligns them, which also removes steps along the lines"
