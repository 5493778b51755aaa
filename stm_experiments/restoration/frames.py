"""Repeated frames of one area, or the two traces of a scan: aligned, averaged, compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stm_experiments.core.arrays import Array
from stm_experiments.core.noise import noise_sigma
from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.units import amount
from stm_experiments.io.scan import Scan
from stm_experiments.metrics.registration import Registration, register
from stm_experiments.metrics.repeats import (
    RepeatedError,
    RingCorrelation,
    common_rectangle,
    repeated_error,
    ring_correlation,
)


@dataclass(frozen=True)
class FrameComparison:
    """Frames against the first of them.

    Attributes:
        mean: Of all frames, on the first one's pixels; masked where none shows anything.
        aligned: Each frame but the first, on the first one's pixels.
        difference: Second frame less the first, without planes; masked where not both show it.
        registrations: Of each frame but the first.
        curves: Fourier ring correlation of the first frame with each other one.
        noise: Standard deviation of the noise of the first frame, in its unit: from three frames or
            more by uMSE; from two, as if both had the same and differed by nothing else.
        pixel_noise: The part of it that is independent from pixel to pixel (``noise_sigma``).
        error: Of the first frame, of three or more; None: there are two.
        denoised_error: The same of the first frame after a denoiser; None: not asked for.
    """

    mean: Scan
    aligned: tuple[Scan, ...]
    difference: Scan
    registrations: tuple[Registration, ...]
    curves: tuple[RingCorrelation, ...]
    noise: float
    pixel_noise: float
    error: RepeatedError | None
    denoised_error: RepeatedError | None

    @property
    def gain(self) -> float | None:
        """The denoiser's gain, dB: squared error of the frame over that of its result."""
        if self.error is None or self.denoised_error is None:
            return None
        before, after = self.error.mse.mean, self.denoised_error.mse.mean
        return float(10 * np.log10(before / after)) if min(before, after) > 0 else None

    def rows(self, names: Sequence[str]) -> list[dict[str, float | str]]:
        """Return the registrations as rows of a table.

        Args:
            names: Of all frames.
        """
        return [
            {
                "frame": name,
                "shift_row_px": registration.shift[0],
                "shift_column_px": registration.shift[1],
                "drift_row_px": registration.drift[0],
                "drift_column_px": registration.drift[1],
                "correlation": registration.correlation,
                "finest_period_px": curve.finest_period,
            }
            for name, registration, curve in zip(
                names[1:], self.registrations, self.curves, strict=True
            )
        ]

    def _length(self, pixels: float) -> str:
        """Return a length in words, also in nm where pixels are squares of known size."""
        sides = self.mean.pixel_size
        if sides is None or not np.isclose(*sides, rtol=1e-3):
            return f"{pixels:.1f} px"
        return f"{pixels:.1f} px ({pixels * sides[0]:.3g} nm)"

    def sentences(self, names: Sequence[str]) -> list[str]:
        """Return all numbers in words.

        Args:
            names: Of all frames.
        """
        texts = [
            f"{row['frame']}: {_moved(registration)}; correlation {row['correlation']:.3f}; agrees "
            f"down to periods of {self._length(float(row['finest_period_px']))}"
            for row, registration in zip(self.rows(names), self.registrations, strict=True)
        ]
        whole, white = (amount(x, self.mean.unit) for x in (self.noise, self.pixel_noise))
        if self.error is None:
            texts.append(
                f"the two frames differ by {whole} rms for each: by noise, offsets of rows, and "
                "what they show differently"
            )
        else:
            texts.append(f"noise of the first frame, with offsets of rows: {whole} rms")
        texts.append(f"noise of the first frame from pixel to pixel: {white} rms")
        for name, error in (("", self.error), (" after denoising", self.denoised_error)):
            if error:
                rms = amount(float(np.sqrt(max(error.mse.mean, 0.0))), self.mean.unit)
                texts.append(f"first frame{name}: error {rms} rms, uPSNR {error.psnr:.1f} dB")
        if self.gain is not None:
            texts.append(f"gain by denoising: {self.gain:.1f} dB")
        return texts


def align_frames(frames: Sequence[Scan], denoised: Scan | None = None) -> FrameComparison:
    """Align frames to the first, average them and measure how far they agree.

    Args:
        frames: At least two, of one shape, unit, size of the pixels and direction of the fast axis
            (backward traces unmirrored, as they are read).
        denoised: The first frame after a denoiser; its error is measured with three frames or more.

    Raises:
        ValueError: If there are fewer than two, they do not fit together or have too little in
            common.
    """
    if len(frames) < 2:
        raise ValueError("at least two frames are needed, or one file with both traces")
    first, *others = frames
    for other in others:
        if not _are_alike(first, other):
            raise ValueError(
                f"{_kind(other)}, {_kind(first)}: frames are of one kind and size, resample them"
            )
    registrations = tuple(
        register(
            first.data, x.data, first.mask, x.mask, same_lines=_are_traces_of_one_scan(first, x)
        )
        for x in others
    )
    images = [np.where(first.mask, first.data, np.nan), *(r.aligned for r in registrations)]
    rectangle = common_rectangle(np.logical_and.reduce(np.isfinite(images)))
    shared = [image[rectangle] for image in images]
    curves = tuple(ring_correlation(shared[0], other) for other in shared[1:])
    error = denoised_error = None
    if len(frames) > 2:
        error = repeated_error(shared[0], shared[1:])
        if denoised is not None:
            denoised_error = repeated_error(denoised.data[rectangle], shared[1:])
    noise = float(np.std(subtract_plane(shared[1] - shared[0]))) / np.sqrt(2)
    if error is not None:
        noise = float(np.sqrt(max(error.mse.mean, 0.0)))
    return FrameComparison(
        mean=_mean_scan(first, images, registrations),
        aligned=tuple(
            _with_gaps(x, r.aligned, f"aligned to {first.name}: {_moved(r)}")
            for x, r in zip(others, registrations, strict=True)
        ),
        difference=_difference(first, others[0], images[1]),
        registrations=registrations,
        curves=curves,
        noise=noise,
        pixel_noise=noise_sigma(shared[0]),
        error=error,
        denoised_error=denoised_error,
    )


def _are_alike(first: Scan, other: Scan) -> bool:
    """Say whether frames have one unit, one shape and one size of a pixel, to .1 %."""
    if (other.unit, other.data.shape) != (first.unit, first.data.shape):
        return False
    if first.pixel_size is None or other.pixel_size is None:
        return True
    return bool(np.allclose(first.pixel_size, other.pixel_size, rtol=1e-3))


def _are_traces_of_one_scan(first: Scan, other: Scan) -> bool:
    """Say whether two frames are the forward and the backward trace of the same lines."""
    both = {tuple(scan.direction.split("/")) for scan in (first, other)}
    same_pass = {passes[1:] for passes in both}
    return first.name == other.name and len(both) == 2 and len(same_pass) == 1


def _kind(scan: Scan) -> str:
    """Describe unit, shape and size of the pixels of a frame."""
    height, width = scan.data.shape
    text = f"{scan.name} has {height} x {width} px"
    if scan.pixel_size is not None:
        text += f" of {scan.pixel_size[0]:.4g} x {scan.pixel_size[1]:.4g} nm"
    return f"{text} in {scan.unit or 'no unit'}"


def _mean_scan(first: Scan, images: Sequence[Array], registrations: Sequence[Registration]) -> Scan:
    """Average the frames where they show something, each on the plane of the first."""
    total, count = np.zeros(first.data.shape), np.zeros(first.data.shape)
    for image in images:
        shown = np.isfinite(image)
        common = shown & first.mask
        gap = np.where(common, image - first.data, 0.0)
        level = gap - subtract_plane(gap, common)  # the plane of the difference, everywhere
        total += np.where(shown, image - level, 0.0)
        count += shown
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    moved = "; ".join(map(_moved, registrations))
    return _with_gaps(first, mean, f"mean of {len(images)} frames aligned to this one ({moved})")


def _difference(first: Scan, second: Scan, aligned: Array) -> Scan:
    """Subtract the first frame from the second, which is on its pixels, and a plane."""
    both = np.isfinite(aligned) & first.mask
    change = subtract_plane(np.where(both, aligned - first.data, 0.0), both)
    sentence = f"difference: {second.name} ({second.direction}) less this one, without a plane"
    return _with_gaps(first, np.where(both, change, np.nan), sentence)


def _moved(registration: Registration) -> str:
    """Describe shift and drift."""
    shift, drift = (_way(*way) for way in (registration.shift, registration.drift))
    return f"shifted by {shift}, drift during the frame {drift}"


def _way(down: float, right: float) -> str:
    """Describe a way in px: "1.20 px down and 0.30 px left"."""
    vertical, horizontal = "down" if down >= 0 else "up", "right" if right >= 0 else "left"
    return f"{abs(down):.2f} px {vertical} and {abs(right):.2f} px {horizontal}"


def _with_gaps(scan: Scan, data: Array, sentence: str) -> Scan:
    """Return a scan with other data, NaN where nothing was measured."""
    mask = np.isfinite(data)
    filled = np.where(mask, data, np.median(data[mask]))
    return replace(scan, mask=mask).with_data(filled, sentence)
