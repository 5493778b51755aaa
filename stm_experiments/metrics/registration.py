"""Registration of two frames of the same area: shift and drift to a fraction of a pixel."""

from typing import NamedTuple

import numpy as np
import scipy  # its parts are loaded when they are first used
import torch

from stm_experiments.core.arrays import Array, Mask
from stm_experiments.core.images import is_rounding
from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.spectra import hann_power

_STRIPS = 6  # horizontal strips that are followed one after the other
_STEPS = 25  # of Gauss-Newton, at most
_CONVERGED = 1e-3  # px
_LEAST_SHARE = 0.25  # of the frame that both frames show
_PIXELS = 40_000  # that a fit uses, about
_ALIKE = 0.2  # correlation of frames without the medians of their rows that shows their shift
_HALF_LINE = 0.5  # px
_NOISE_ONLY = 0.35  # cycles per px: beyond, there is noise alone


class Registration(NamedTuple):
    """Where a frame lies against a reference.

    Pixel (row, column) of the reference is at (row, column) + shift + drift (t - 1/2) of the frame,
    with t from 0 at the first line to 1 at the last: a constant velocity of the drift between the
    two frames.

    Attributes:
        shift: At half time, along axes 0 and 1, px.
        drift: From the first line to the last, along axes 0 and 1, px.
        correlation: Pearson correlation of the aligned frames, without planes.
        aligned: The frame on the reference's pixels, [H, W]; NaN outside of it.
    """

    shift: tuple[float, float]
    drift: tuple[float, float]
    correlation: float
    aligned: Array


def register(
    reference: Array,
    frame: Array,
    reference_mask: Mask | None = None,
    mask: Mask | None = None,
    *,
    same_lines: bool = False,
) -> Registration:
    """Find shift and drift of a frame against a reference, by least squares.

    Each row is compared without its median: offsets of rows belong to the instrument and do not
    move with the sample. Only where the rest is not alike, as of steps along the rows, rows count
    as they are.

    The first shift is the largest value of the frames' cross-correlation under Hann windows. A
    lattice agrees with itself at every lattice vector: without a defect or a step, the shift is
    known but for one. Then horizontal strips are followed one after the other from the middle, and
    Gauss-Newton steps refine all four numbers, a contrast and a plane together. The drift along a
    strip, a sixth of the frame, must be less than about a quarter of a lattice constant.

    Args:
        reference: [H, W].
        frame: [H, W], in the same direction of the scan (a backward trace unmirrored).
        reference_mask: True where measured; None: everywhere.
        mask: The same of the frame.
        same_lines: Whether the frames are two traces of one scan. Between them lies the same time
            on every line: there is no drift, and a shift across the lines of half a line at most,
            where the slow axis moves on all the time.

    Raises:
        ValueError: If the shapes differ, a frame is constant or too small, or the frames have less
            than a quarter of their area in common.
    """
    if reference.shape != frame.shape or min(reference.shape) < 4 * _STRIPS:
        raise ValueError(
            f"cannot compare frames of {reference.shape[0]} x {reference.shape[1]} px and "
            f"{frame.shape[0]} x {frame.shape[1]} px: they need one shape of at least "
            f"{4 * _STRIPS} px"
        )
    masks = [np.ones(frame.shape, bool) if m is None else m for m in (reference_mask, mask)]
    still, moving = (
        np.where(m, subtract_plane(image, m), 0.0)
        for image, m in zip((reference, frame), masks, strict=True)
    )
    pairs = zip((still, moving), (reference[masks[0]], frame[masks[1]]), strict=True)
    if any(is_rounding(np.ptp(flat), np.abs(values).max(initial=0)) for flat, values in pairs):
        raise ValueError("a frame is nothing but a plane: there is nothing to compare")
    without_rows = [_without_medians(x, m) for x, m in zip((still, moving), masks, strict=True)]
    fit = _Fit(np.zeros(4), 0.0)
    if all(np.ptp(x) > 0 for x in without_rows):
        fit = _fit(without_rows, masks, same_lines)
    if fit.correlation < _ALIKE:
        fit = _fit([still, moving], masks, same_lines)
    parameters = fit.parameters
    places = _places(parameters, frame.shape, slice(0, len(frame)), 1)
    splines = scipy.ndimage.spline_filter(np.where(masks[1], frame, 0.0), 3, mode="mirror")
    aligned = np.where(_shown(masks[1], places), _interpolated(splines, places), np.nan)
    valid = np.isfinite(aligned) & masks[0]
    if valid.mean() < _LEAST_SHARE:
        raise ValueError("the frames have less than a quarter of their area in common")
    one, other = (
        subtract_plane(np.where(valid, x, 0.0), valid)[valid] for x in (reference, aligned)
    )
    shift, drift = parameters[:2], parameters[2:]
    return Registration(
        (float(shift[0]), float(shift[1])),
        (float(drift[0]), float(drift[1])),
        float(np.corrcoef(one, other)[0, 1]),
        aligned,
    )


class _Fit(NamedTuple):
    """Shift and drift, [4], and the correlation of the aligned frames, smoothed as they were."""

    parameters: Array
    correlation: float


def _fit(frames: list[Array], masks: list[Mask], same_lines: bool) -> _Fit:
    """Find shift and drift of a still and a moving frame that vary."""
    start = np.array([*_coarse_shift(frames[0], frames[1], same_lines), 0.0, 0.0])
    still, moving = (x / x.std() for x in frames)
    blur = _blur_of(still, moving)
    still, moving = (scipy.ndimage.gaussian_filter(x, blur) for x in (still, moving))
    still_mask, mask = (_off_border(m, round(2 * blur)) for m in masks)
    pair = _Pair(still, moving, still_mask, mask, same_lines)
    parameters = pair.refined(_followed(pair, start), slice(0, len(still)), drifts=not same_lines)
    return _Fit(parameters, pair.correlation(parameters))


def _without_medians(image: Array, mask: Mask) -> Array:
    """Return an image whose rows have the median 0 over their measured pixels, 0 elsewhere."""
    rows = np.flatnonzero(mask.any(axis=1))
    medians = np.zeros((len(image), 1))
    medians[rows, 0] = [np.median(image[row, mask[row]]) for row in rows]
    return np.where(mask, image - medians, 0.0)


def _places(parameters: Array, shape: tuple[int, ...], lines: slice, step: int) -> Array:
    """Return where a moving frame shows every ``step``-th pixel of some lines, [2, h, w]."""
    rows, columns = np.mgrid[lines.start : lines.stop : step, : shape[1] : step].astype(float)
    time = rows / (shape[0] - 1) - 0.5
    return np.stack(
        [rows + parameters[0] + parameters[2] * time,
         columns + parameters[1] + parameters[3] * time]
    )  # fmt: skip


def _interpolated(splines: Array, places: Array) -> Array:
    """Return the values of cubic splines at places."""
    values: Array = scipy.ndimage.map_coordinates(
        splines, places, order=3, mode="mirror", prefilter=False
    )
    return values


def _shown(mask: Mask, places: Array) -> Mask:
    """Return whether the pixels around places were measured."""
    shares = scipy.ndimage.map_coordinates(mask.astype(float), places, order=1, cval=0.0)
    shown: Mask = shares > 0.999
    return shown


class _Pair:
    """A still and a moving frame, ready for interpolation."""

    def __init__(
        self, still: Array, moving: Array, still_mask: Mask, mask: Mask, same_lines: bool
    ) -> None:
        self.still, self.still_mask, self.mask = still, still_mask, mask
        self.same_lines = same_lines
        self.splines = [
            scipy.ndimage.spline_filter(x, 3, mode="mirror") for x in (moving, *np.gradient(moving))
        ]

    def refined(self, parameters: Array, lines: slice, *, drifts: bool) -> Array:
        """Refine shift and drift by Gauss-Newton steps over some lines."""
        count = (lines.stop - lines.start) * self.still.shape[1]
        step = max(1, int((count / _PIXELS) ** 0.5))
        part = (slice(lines.start, lines.stop, step), slice(None, None, step))
        target, mask = self.still[part], self.still_mask[part]
        rows, columns = np.mgrid[part[0], : self.still.shape[1] : step].astype(float)
        time = rows / (len(self.still) - 1) - 0.5
        free = [0, 1, 2, 3] if drifts else [0, 1]
        parameters = parameters.copy()
        for _ in range(_STEPS):
            places = _places(parameters, self.still.shape, lines, step)
            moved, down, across = (_interpolated(x, places) for x in self.splines)
            valid = _shown(self.mask, places) & mask
            if valid.mean() < _LEAST_SHARE:
                break
            terms = [down, across, down * time, across * time][: len(free)]
            terms += [moved, np.ones_like(moved), time, columns / columns.max()]
            matrix = np.stack([term[valid] for term in terms], 1)
            solution = np.linalg.lstsq(matrix.T @ matrix, matrix.T @ target[valid], rcond=None)[0]
            # The slopes belong to the frame at its own contrast.
            contrast = max(solution[len(free)], 0.05)
            change = np.clip(solution[: len(free)] / contrast, -1.5, 1.5)
            parameters[free] += change
            if self.same_lines:
                parameters[0] = np.clip(parameters[0], -_HALF_LINE, _HALF_LINE)
            if np.abs(change).max() < _CONVERGED:
                break
        return parameters

    def correlation(self, parameters: Array) -> float:
        """Return the correlation of the frames at a shift and drift, 0 if they share too little."""
        places = _places(parameters, self.still.shape, slice(0, len(self.still)), 1)
        valid = _shown(self.mask, places) & self.still_mask
        if valid.mean() < _LEAST_SHARE:
            return 0.0
        moved = _interpolated(self.splines[0], places)
        return float(np.corrcoef(moved[valid], self.still[valid])[0, 1])


def _followed(pair: _Pair, start: Array) -> Array:
    """Fit each strip from its neighbour's shift, middle first; return shift and drift of a line."""
    height = len(pair.still)
    edges = np.linspace(0, height, _STRIPS + 1).astype(int)
    middle = _STRIPS // 2
    shifts = np.zeros((_STRIPS, 2))
    for strips in (range(middle, _STRIPS), range(middle - 1, -1, -1)):
        parameters = start if strips.step > 0 else np.array([*shifts[middle], 0, 0])
        for k in strips:
            lines = slice(edges[k], edges[k + 1])
            parameters = pair.refined(parameters, lines, drifts=False)
            shifts[k] = parameters[:2]
    if pair.same_lines:
        return np.array([*np.median(shifts, axis=0), 0.0, 0.0])
    time = (edges[:-1] + edges[1:] - 1) / 2 / (height - 1) - 0.5
    # The median slope is not led astray by a strip that was lost.
    i, j = np.triu_indices(_STRIPS, 1)
    drift = np.median((shifts[j] - shifts[i]) / (time[j] - time[i])[:, None], axis=0)
    shift = np.median(shifts - drift * time[:, None], axis=0)
    return np.array([*shift, *drift])


def _off_border(mask: Mask, width: int) -> Mask:
    """Return the measured pixels further than ``width`` px from others and from the border."""
    inside: Mask = scipy.ndimage.minimum_filter(mask, 2 * width + 1, mode="constant", cval=False)
    return inside


def _blur_of(still: Array, moving: Array) -> float:
    """Return the width of a Gaussian that weakens frequencies of noise alone, px.

    Interpolation weakens white noise, most of all half-way between pixels, where a fit to sharp
    frames would be drawn. The finest frequency with three times the power of white noise is halved.
    """
    frequency = np.hypot(*np.ix_(*map(np.fft.fftfreq, still.shape)))
    ring = np.rint(frequency * min(still.shape)).astype(int)
    one, other = (hann_power(torch.from_numpy(x)).numpy() for x in (still, moving))
    power = one + other
    mean = np.bincount(ring.ravel(), power.ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    noise = np.mean(power[frequency > _NOISE_ONLY])
    finest = max(np.flatnonzero(mean > 3 * noise).max(initial=2), 2) / min(still.shape)
    return float(np.sqrt(np.log(2) / 2) / np.pi / finest)


def _coarse_shift(still: Array, moving: Array, same_lines: bool) -> Array:
    """Return the shift of the largest cross-correlation under Hann windows, whole px, [2]."""
    shape = still.shape
    windows = np.outer(*(np.hanning(side + 2)[1:-1] for side in shape))
    widest = min(shape) / 16
    spectra = []
    for image in (still, moving):
        # Neither bows nor single pixels decide.
        band = scipy.ndimage.gaussian_filter(image, 1) - scipy.ndimage.gaussian_filter(
            image, widest
        )
        spectra.append(np.fft.rfft2(band * windows, [2 * side for side in shape]))
    correlation = np.fft.irfft2(spectra[0].conj() * spectra[1], [2 * side for side in shape])
    if same_lines:
        correlation = correlation[:1]
    place = np.array(np.unravel_index(correlation.argmax(), correlation.shape))
    shift: Array = np.where(place > shape, place - 2 * np.array(shape), place).astype(float)
    return shift
