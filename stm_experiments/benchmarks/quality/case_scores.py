"""The measures of an estimate on one case of the collection."""

import math
import time
from collections.abc import Mapping

import numpy as np
import scipy
import torch

from stm_experiments.benchmarks.quality.collection import Case
from stm_experiments.benchmarks.quality.methods import Candidates, Denoise, Estimate
from stm_experiments.core.arrays import Array, Mask
from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.spectra import hann_power
from stm_experiments.metrics.whole_image import strongest_peaks

Scores = dict[str, float]
_STANDS_OUT = 30.0  # amplitude of a Bragg peak over that of the noise around it, at least
_BESIDE = 2.5  # a local feature's surroundings end at so many times its reach


def score_case(case: Case, candidates: Candidates) -> tuple[Scores, str, Estimate]:
    """Apply a method to a case; of several settings, the one of least error.

    Returns:
        The scores; the setting; the estimate.

    Raises:
        ValueError: If the method cannot take the image.
    """
    start = time.perf_counter()
    settings = candidates(case)
    estimates = {name: method(case.noisy) for name, method in settings.items()}
    seconds = (time.perf_counter() - start) / len(settings)
    best = min(estimates, key=lambda name: plane_free_error(estimates[name].heights, case.clean))
    estimate = estimates[best]
    scores = {
        "gain": gain(case, estimate.heights),
        "mse": float(np.mean((estimate.heights - case.clean) ** 2)),
        "seconds": seconds,
        **bragg_changes(case, estimate.heights),
        **coverage(case, estimate),
    }
    if case.feature is not None:
        scores |= feature_scores(case, estimate, settings[best])
    if case.name.surface_kind == "empty" and case.sigma is not None:
        scores |= invention_scores(case, estimate.heights)
    return scores, best, estimate


def plane_free_error(image: Array, clean: Array) -> float:
    """Return the mean squared error; a plane is no error of a scan."""
    return float(np.mean(subtract_plane(image - clean) ** 2))


def gain(case: Case, heights: Array) -> float:
    """Return the error of the noisy image over that of the estimate, dB; below 0 is worse."""
    before = plane_free_error(case.noisy, case.clean)
    after = plane_free_error(heights, case.clean)
    return 10 * math.log10(before / max(after, 1e-12 * before))


def bragg_changes(case: Case, heights: Array) -> Scores:
    """Return how much the amplitudes of the clean image's Bragg peaks change.

    Peaks count whose amplitude is 30 times that of the noise around them: noise alone changes them
    by about 1 %. The amplitude is the root of the power in 3x3 frequency steps under a Hann window.

    Returns:
        ``bragg_peaks``, their number, and ``bragg_worst``, the amplitude ratio furthest from 1;
        NaN without peaks.
    """
    clean = torch.from_numpy(case.clean)
    if np.ptp(case.clean) == 0:
        return {"bragg_peaks": 0.0, "bragg_worst": math.nan}
    noise = torch.from_numpy(subtract_plane(case.noisy - case.clean))
    peaks = strongest_peaks(clean, most=24)
    amplitude = _amplitudes(clean, peaks, 1)
    around = _amplitudes(noise, peaks, 4) / 3  # of 9x9 steps: to that of 3x3
    peaks = peaks[torch.from_numpy(amplitude > _STANDS_OUT * around)]
    if not len(peaks):
        return {"bragg_peaks": 0.0, "bragg_worst": math.nan}
    output = torch.from_numpy(subtract_plane(heights - case.clean) + case.clean)
    ratios = _amplitudes(output, peaks, 1) / _amplitudes(clean, peaks, 1)
    worst = float(ratios[np.abs(ratios - 1).argmax()])
    return {"bragg_peaks": float(len(ratios)), "bragg_worst": worst}


def _amplitudes(image: torch.Tensor, peaks: torch.Tensor, reach: int) -> Array:
    """Return the root of the power within so many steps of each peak, [P]."""
    power = hann_power(image.double())
    near = torch.arange(-reach, reach + 1)
    rows = (peaks[:, 0, None] + near) % power.shape[0]
    columns = (peaks[:, 1, None] + near) % power.shape[1]
    sums = power[rows[:, :, None], columns[:, None, :]].sum((1, 2))
    return sums.sqrt().numpy()


def coverage(case: Case, estimate: Estimate) -> Scores:
    """Return the share of the pixels within one and two stated deviations of the truth."""
    if estimate.uncertainty is None:
        return {}
    error = np.abs(subtract_plane(estimate.heights - case.clean))
    return {f"within_{k}": float(np.mean(error <= k * estimate.uncertainty)) for k in (1, 2)}


def feature_scores(case: Case, estimate: Estimate, method: Denoise) -> Scores:
    """Return what of a feature is kept and what is added beside it.

    The method is applied to the twin, the image without the feature and with the same noise. The
    difference D of the two estimates is compared with the feature F, both without their mean.

    Returns:
        ``kept``: the projection sum(D F) / sum(F^2), 1 is right. ``added``: root mean square of
        D - F where F is less than 5 % of its maximum, within 2.5 times the feature's reach, over
        that of F where it is more; for local features the mean over all of them is taken first, so
        that noise does not count. ``peak_added``: the largest |D - F| there over the largest |F|.
        Of a feature without a place, the surroundings are the whole image, what counts is
        D - kept F, over F, and there is no peak.
    """
    if case.feature is None or case.twin is None:
        raise ValueError(f"{case.name} has no feature")
    difference = estimate.heights - method(case.twin).heights
    feature = case.feature
    flat, wanted = difference - difference.mean(), feature - feature.mean()
    kept = float((flat * wanted).sum() / (wanted**2).sum())
    if case.places is None:
        added = float(np.std(flat - kept * wanted) / np.std(wanted))
        return {"kept": kept, "added": added}
    reach = math.ceil(_BESIDE * case.reach)
    bias, mean = (mean_around(x, case.places, reach) for x in (difference - feature, feature))
    inside = np.abs(mean) > 0.05 * np.abs(mean).max()
    return {
        "kept": kept,
        "added": rms(bias[~inside]) / rms(mean[inside]),
        "peak_added": float(np.abs(bias[~inside]).max() / np.abs(mean).max()),
    }


def mean_around(image: Array, places: Array, reach: int) -> Array:
    """Return the mean of the squares around places, [2 reach + 1, 2 reach + 1].

    Outside of the image there is nothing to average; where no square has a pixel, the mean is 0.
    """
    values, inside = np.pad(image, reach), np.pad(np.ones(image.shape), reach)
    total, count = np.zeros((2, 2 * reach + 1, 2 * reach + 1))
    for row, column in np.rint(places).astype(int):
        square = np.s_[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
        total += values[square]
        count += inside[square]
    return total / np.maximum(count, 1)


def rms(values: Array) -> float:
    """Return the root mean square; 0 of nothing."""
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def invention_scores(case: Case, heights: Array) -> Scores:
    """Compare what is left of pure white noise with a Gaussian filter that leaves as much.

    Returns:
        ``left``: standard deviation of the output over that of the noise. ``maxima`` and
        ``gaussian_maxima``: local maxima above 3 standard deviations of the output, of the method
        and of the filter. ``skewness`` and ``gaussian_skewness``. ``peak``: the largest ratio of
        the mean power on a ring of the spectrum to the filter's, among rings with at least 5 % of
        the filter's power.
    """
    noise, output = case.noisy - case.clean, heights - heights.mean()
    left = float(output.std() / noise.std())
    if left < 1e-6:
        zero = dict.fromkeys(("maxima", "gaussian_maxima", "skewness", "gaussian_skewness"), 0.0)
        return {"left": left, **zero, "peak": 0.0}
    width = 1 / (2 * math.sqrt(math.pi) * min(left, 0.99))  # of a Gaussian that leaves as much
    filtered = scipy.ndimage.gaussian_filter(noise, width, mode="wrap")
    filtered *= output.std() / filtered.std()
    return {
        "left": left,
        "maxima": float(high_maxima(output)),
        "gaussian_maxima": float(high_maxima(filtered)),
        "skewness": float(scipy.stats.skew(output, axis=None)),
        "gaussian_skewness": float(scipy.stats.skew(filtered, axis=None)),
        "peak": radial_peak(output, filtered),
    }


def high_maxima(image: Array) -> int:
    """Return the number of local maxima (5x5 px) above 3 standard deviations."""
    highest: Mask = image == scipy.ndimage.maximum_filter(image, 5)
    return int((highest & (image > image.mean() + 3 * image.std())).sum())


def radial_peak(image: Array, reference: Array) -> float:
    """Return the largest ratio of two radial spectra, where the second has power."""
    rings = np.rint(
        64 * np.hypot(*np.meshgrid(*map(np.fft.fftfreq, image.shape), indexing="ij", sparse=True))
    ).astype(int)
    means = [
        np.bincount(rings.ravel(), hann_power(torch.from_numpy(x)).numpy().ravel())
        for x in (image, reference)
    ]
    strong = means[1] > 0.05 * means[1].max()
    return float((means[0][strong] / means[1][strong]).max())


def as_row(case: Case, method: str, setting: str, scores: Mapping[str, float]) -> dict[str, object]:
    """Return the scores with what they belong to, as plain data."""
    name = case.name
    return {
        "case": str(name),
        "surface": name.surface,
        "surface_kind": name.surface_kind,
        "noise": name.noise,
        "noise_kind": name.noise_kind,
        "shape": list(name.shape),
        "method": method,
        "setting": setting,
        **{key: float(value) for key, value in scores.items() if math.isfinite(value)},
    }
