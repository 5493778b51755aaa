"""Measures of a whole denoised image: compared with the truth, and where there is none.

Images are [H, W] on about [-1, 1], so the data range is 2. Every measure takes one image and gives
plain numbers. The measures of atoms are in ``lattice.atoms``, the energy of seams is in
``models.tiling``.
"""

import math

import torch
from torch import Tensor

from stm_experiments.core.intervals import psnr_of_mse
from stm_experiments.core.spectra import bragg_peaks, hann_power
from stm_experiments.metrics.measures import mse, ssim


def image_errors(output: Tensor, clean: Tensor) -> dict[str, float]:
    """Compare an image with the clean one.

    Args:
        output: [H, W].
        clean: [H, W], in the same scale (see ``match_scale``).

    Returns:
        ``mse`` per pixel; ``psnr`` 10 log10(4 / mse), dB; ``ssim`` by scikit-image's definition
        (7x7 uniform window, data range 2).

    Raises:
        ValueError: If the shapes differ.
    """
    a, b = output[None, None].double(), clean[None, None].double()
    error = float(mse(a, b))
    return {"mse": error, "psnr": psnr_of_mse(error), "ssim": float(ssim(a, b))}


def match_scale(clean: Tensor, noisy: Tensor) -> Tensor:
    """Map the clean image to the scale of the noisy one, by an affine map of least squares.

    For pairs that were scaled separately, such as the published ones. The map also subtracts the
    mean of the noise.

    Args:
        clean: [H, W].
        noisy: [H, W].

    Raises:
        ValueError: If the clean image is constant.
    """
    x, y = clean.double(), noisy.double()
    centred = x - x.mean()
    variance = centred.square().sum()
    if variance == 0:
        raise ValueError("a constant clean image has no scale that could be fitted")
    return ((centred * y).sum() / variance * centred + y.mean()).to(clean.dtype)


def strongest_peaks(image: Tensor, most: int = 12, weakest: float = 1e-3) -> Tensor:
    """Return the strongest Bragg peaks of an image's spectrum, one of each pair G, -G.

    A peak is the largest power within 5 frequency steps, at least 50 times the median power at its
    radius, ``weakest`` times the strongest, and more than 3 steps from the centre.

    Args:
        image: [H, W]: the clean one where there is one.
        most: Number of peaks at most.
        weakest: Power of the weakest, relative to the strongest.

    Returns:
        Rows and columns in the spectrum, strongest first, [P, 2] int64; P may be 0.
    """
    power = hann_power(image.double())
    return bragg_peaks(power, prominence=50.0, most=most, reach=5, weakest=weakest).place


def bragg_fidelity(output: Tensor, clean: Tensor, peaks: Tensor | None = None) -> dict[str, float]:
    """Return the share of each Bragg peak that is preserved: |F_out(G)| / |F_clean(G)|.

    |F(G)| is the square root of the power in the 3x3 frequency steps around a peak of the clean
    image, which contain the peak wherever it lies between two steps.

    Args:
        output: [H, W].
        clean: [H, W]. For a real scan, the scan itself: the ratio then says how much of it was
            preserved, with its noise at G.
        peaks: From ``strongest_peaks``; None: those of ``clean``.

    Returns:
        ``bragg``: mean over the peaks; 1 is right, less is weakened. ``bragg_worst``: the ratio
        furthest from 1. ``bragg_peaks``: number of peaks. The ratios are NaN without peaks.
    """
    peaks = strongest_peaks(clean) if peaks is None else peaks
    if not len(peaks):
        return {"bragg": math.nan, "bragg_worst": math.nan, "bragg_peaks": 0.0}
    near = torch.arange(-1, 2, device=clean.device)
    powers = []
    for image in (output, clean):
        power = hann_power(image.double())
        rows = (peaks[:, 0, None] + near) % power.shape[0]
        columns = (peaks[:, 1, None] + near) % power.shape[1]
        powers.append(power[rows[:, :, None], columns[:, None, :]].sum((1, 2)))
    ratios = (powers[0] / powers[1]).sqrt()
    return {
        "bragg": float(ratios.mean()),
        "bragg_worst": float(ratios[(ratios - 1).abs().argmax()]),
        "bragg_peaks": float(len(ratios)),
    }


def invented_power(
    output: Tensor, noise: Tensor, periods: tuple[float, float] = (4.0, 30.0)
) -> float:
    """Return a ratio that tells whether a denoiser invents a lattice from pure noise.

    The power of the strongest peak of the output in the band of lattice periods over that of the
    strongest peak of the input, white noise without a lattice, in the same band. A denoiser that
    weakens noise gives at most 1. One that draws a lattice gives more: a lattice concentrates in
    one peak the power that noise spreads over all frequencies.

    Args:
        output: The denoised noise, [H, W].
        noise: White noise, [H, W].
        periods: Shortest and longest period of the band, px.

    Raises:
        ValueError: If the band holds no frequency of the image.
    """
    radius = torch.hypot(
        torch.fft.fftfreq(noise.shape[0], device=noise.device)[:, None],
        torch.fft.fftfreq(noise.shape[1], device=noise.device),
    )
    band = (radius >= 1 / periods[1]) & (radius <= 1 / periods[0])
    if not band.any():
        raise ValueError(f"periods of {periods} px do not occur in an image of {noise.shape}")
    return float(hann_power(output.double())[band].max() / hann_power(noise.double())[band].max())


def change_outside(output: Tensor, before: Tensor, mask: Tensor) -> float:
    """Return the largest |output - before| outside of the pixels to be repaired.

    Args:
        output: [H, W].
        before: Input of the denoiser, [H, W].
        mask: True where the denoiser may change the image, [H, W] bool.

    Raises:
        ValueError: If the mask covers the whole image.
    """
    if mask.all():
        raise ValueError("the mask covers the whole image: there is no outside")
    return float((output - before)[~mask].abs().max())


def trace_correlation(forward: Tensor, backward: Tensor, most_shift: int = 8) -> float:
    """Return the correlation of a forward and a backward scan, or of two repeated frames.

    The largest Pearson correlation over shifts along the rows: hysteresis and the lag of the
    feedback displace the two scans. Less noise gives a larger correlation, and so does blurring:
    compare it at equal ``bragg`` only.

    Args:
        forward: [H, W].
        backward: [H, W], unmirrored.
        most_shift: Largest shift, px.

    Raises:
        ValueError: If the shapes differ or the images are not wider than the shift.
    """
    if forward.shape != backward.shape or forward.shape[1] <= most_shift + 1:
        raise ValueError(
            f"cannot compare {list(forward.shape)} with {list(backward.shape)} at shifts up to "
            f"{most_shift} px"
        )
    width, largest = forward.shape[1], -1.0
    for shift in range(-most_shift, most_shift + 1):
        a = forward[:, max(0, shift) : width + min(0, shift)].double().flatten()
        b = backward[:, max(0, -shift) : width + min(0, -shift)].double().flatten()
        a, b = a - a.mean(), b - b.mean()
        norm = a.norm() * b.norm()
        largest = max(largest, float(a @ b / norm) if norm > 0 else -1.0)
    return largest
