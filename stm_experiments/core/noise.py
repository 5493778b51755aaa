"""The noise that an image itself shows."""

import math
from itertools import pairwise

import numpy as np
import scipy  # its parts are loaded when they are first used
import torch
from numpy.typing import NDArray
from torch import Tensor

# Second difference along both axes, of unit gain for white noise: blind to planes and, for the most
# part, to atoms of several px, so that it passes noise alone (Immerkaer, CVIU 64, 300 (1996)).
_NOISE_ONLY = np.outer((1, -2, 1), (1, -2, 1)).astype(np.float32) / 6
_NORMAL_MEDIAN = 0.6745  # median of |x| for x ~ N(0, 1)
_REAL_MEDIAN = 0.4549  # median of x^2 for x ~ N(0, 1); of |z|^2 for complex z of mean 1 it is ln 2


def noise_sigma(image: NDArray[np.floating]) -> float:
    """Return the standard deviation of the white noise in an image, in the image's unit.

    The median absolute second difference along both axes over its value for unit normal noise.
    Atoms narrower than about 4 px (full width) count as noise. Noise that is correlated from pixel
    to pixel, such as 1/f noise along a row, does not count.

    Args:
        image: [H, W], at least 3 px each way.
    """
    differences = scipy.ndimage.convolve(image, _NOISE_ONLY)[1:-1, 1:-1]
    return float(np.median(np.abs(differences))) / _NORMAL_MEDIAN if differences.size else 0.0


_HIGH = 0.3  # cycles per px along the slow axis beyond which lattices and terraces are weak
_SMOOTHED = 3.0  # ratio of powers along the slow axis; white noise reaches 1.5
_LEVEL_BANDS = (0.015, 0.06, 0.2, 0.51)  # cycles per px along the fast axis


def noise_levels(images: Tensor) -> Tensor:
    """Measure the noise of images by its frequency along the fast axis.

    A scan is recorded line by line: its noise is (nearly) independent from line to line, so that
    its power does not depend on the frequency along the slow axis. The sample is smooth along both
    axes: beyond .3 cycles per px along the slow axis, the noise is nearly alone. Its power there is
    the median of the periodogram, which does not notice the few Bragg peaks of a crystal.

    Args:
        images: [B, 1, H, W].

    Returns:
        Standard deviation per px that white noise of the same power density has, in the bands of
        whole lines, slow, middle and fast changes along the fast axis, [B, 4] float32.
    """
    rows = torch.fft.fftfreq(images.shape[-2]).abs() > _HIGH
    power = _periodogram(images[:, 0])[:, rows]
    columns = torch.fft.rfftfreq(images.shape[-1])
    # Whole lines are the first column; the taper spreads them over the second.
    bands = [torch.arange(len(columns)) < 2]
    bands += [_band(columns, low, high) for low, high in pairwise(_LEVEL_BANDS)]
    return torch.stack([_level(power, band) for band in bands], 1).sqrt()


def correlated_noise(image: Tensor) -> float:
    """Measure noise that is correlated between lines, as after smoothing or compression.

    At high frequencies along the fast axis noise is nearly alone. If lines have noise of their own,
    its power does not depend on the frequency along the slow axis.

    Args:
        image: [H, W].

    Returns:
        Standard deviation per px that white noise of the same power density has; 0 if the power at
        .12 to .22 cycles per px along the slow axis is less than three times that beyond .4. Noise
        that is smooth over 2 px or more has no power there and is not seen.
    """
    power = _periodogram(image[None].double())[0]
    rows = torch.fft.fftfreq(image.shape[0]).abs()
    fast = power[:, torch.fft.rfftfreq(image.shape[1]) > _HIGH]
    middle, high = (
        float(fast[part].median()) / math.log(2)
        for part in ((rows >= 0.12) & (rows < 0.22), rows >= 0.4)
    )
    return math.sqrt(middle) if middle > _SMOOTHED * high else 0.0


def noise_spectrum(image: Tensor) -> Tensor:
    """Estimate the power spectrum of the noise of an image, never more than can be told for sure.

    Each band of the frequency along the fast axis has two estimates, of which the smaller counts:
    that of ``noise_levels``, which Bragg peaks do not raise, and the median over all lines of the
    second difference from line to line, which a few steps along the lines do not raise. Bands widen
    with the frequency and are joined by a power law between their centres. Whole lines that are
    offset are a column of the spectrum; its three lowest frequencies are left to the sample, where
    terraces are.

    Args:
        image: [H, W].

    Returns:
        The mean square of ``torch.fft.rfft2(noise, norm="ortho")`` at each frequency, [H, W//2 + 1]
        float64: sigma^2 everywhere for white noise.
    """
    height, width = image.shape
    power = _periodogram(image[None].double())
    rows = torch.fft.fftfreq(height).abs() > _HIGH
    differences = _line_differences(image.double())
    columns = torch.fft.rfftfreq(width).double()
    edges = [1.5 / width, 3.4 / width]
    while edges[-1] < 0.5:
        edges.append(1.6 * edges[-1] + 1 / width)
    bands = [_band(columns, low, high) for low, high in pairwise(edges)]
    levels = [
        torch.minimum(_level(power[:, rows], band), _level(differences[None], band))
        for band in bands
    ]
    centres = torch.stack([columns[band].mean() for band in bands])
    tiny = torch.finfo(torch.float64).tiny
    profile = _interpolated(columns, centres, torch.cat(levels).clamp(min=tiny).log()).exp()
    spectrum = profile.expand(height, -1).clone()
    lines = torch.minimum(
        power[0, rows, 0].median() / math.log(2), differences[:, 0].median() / _REAL_MEDIAN
    )
    if lines > 2 * levels[0]:
        spectrum[3:-2, 0] += _line_noise(image.double(), power[0])[3:-2]
    return spectrum


_BROAD_ROWS = (0.02, 0.08, 0.16, 0.3, 0.5)  # cycles per px along the slow axis
_BROAD_COLUMNS = (0.06, 0.16, 0.3, 0.5)  # along the fast axis, beyond whole lines and slow changes


def broad_power(image: Tensor) -> Tensor:
    """Measure the power of an image that is spread over frequencies instead of lying in peaks.

    In each band it is the median of the periodogram, which the few Bragg peaks of a crystal do not
    raise, times the band's width. Noise of any kind counts, and so does a sample without order.

    Args:
        image: [H, W].

    Returns:
        Mean square of the image from bands of the slow axis (down) and of the fast axis (across;
        whole lines first), [4, 5] float64; 0 of bands that a small image does not resolve.
    """
    power = _periodogram(image[None].double())[0]
    rows = torch.fft.fftfreq(image.shape[0]).abs().to(power.device)
    columns = torch.fft.rfftfreq(image.shape[1]).to(power.device)
    lines = 1.5 / image.shape[1]
    edges = [0.0, lines, *_BROAD_COLUMNS]
    widths = [1 / image.shape[1], *(2 * (high - low) for low, high in pairwise(edges[1:]))]
    result = torch.zeros(4, 5, dtype=torch.float64)
    for down, (low, high) in enumerate(pairwise(_BROAD_ROWS)):
        strip = power[(rows >= low) & (rows < high + 1e-6)]
        for across, (left, right) in enumerate(pairwise(edges)):
            part = strip[:, (columns >= left) & (columns < right + 1e-6 * (right == edges[-1]))]
            if part.numel():
                area = 2 * (high - low) * widths[across]
                result[down, across] = part.median() / math.log(2) * area
    return result


def mean_power(spectrum: Tensor, width: int) -> float:
    """Return the mean square of noise from its spectrum [H, W//2 + 1]."""
    twice = torch.full((spectrum.shape[1],), 2.0, dtype=spectrum.dtype, device=spectrum.device)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    return float((spectrum * twice).sum()) / (len(spectrum) * width)


def sample_noise(spectrum: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """Draw noise of a given spectrum [H, W//2 + 1], [H, W] float64."""
    shape = (len(spectrum), width)
    white = torch.randn(shape, generator=generator, dtype=torch.float64)
    waves = torch.fft.rfft2(white, norm="ortho") * spectrum.sqrt()
    noise: Tensor = torch.fft.irfft2(waves, shape, norm="ortho")
    return noise


def _periodogram(images: Tensor) -> Tensor:
    """Return |FFT|^2 under a Blackman taper of mean square 1, [B, H, W] -> [B, H, W//2 + 1]."""
    tapers = [_taper(length).to(images.dtype) for length in images.shape[1:]]
    centred = images - images.mean((1, 2), keepdim=True)
    weighted = centred * (tapers[0][:, None] * tapers[1]).to(images.device)
    power: Tensor = torch.fft.rfft2(weighted, norm="ortho").abs().square()
    return power


def _taper(length: int) -> Tensor:
    """Return a Blackman window of mean square 1, [length] float64."""
    taper = torch.blackman_window(length + 1, periodic=True, dtype=torch.float64)[1:]
    window: Tensor = taper * (length / taper.square().sum()).sqrt()
    return window


def _band(columns: Tensor, low: float, high: float) -> Tensor:
    """Mark the frequencies of a band, at least the one nearest to its centre."""
    distance = (columns - (low + high) / 2).abs()
    return ((columns >= low) & (columns < high)) | (distance == distance.min())


def _level(power: Tensor, band: Tensor) -> Tensor:
    """Return the mean power of noise from the median of its periodogram [B, R, C], [B]."""
    return power[:, :, band].flatten(1).median(1).values / math.log(2)


def _interpolated(position: Tensor, known: Tensor, values: Tensor) -> Tensor:
    """Interpolate linearly between known positions, constant beyond them."""
    right = torch.searchsorted(known, position).clamp(1, len(known) - 1)
    left = right - 1
    share = ((position - known[left]) / (known[right] - known[left])).clamp(0, 1)
    return torch.lerp(values[left], values[right], share)


def _line_noise(image: Tensor, power: Tensor) -> Tensor:
    """Return the power of offsets of whole lines at each frequency along the slow axis, [H].

    Of two estimates the smaller counts. One is by how much the column of whole lines stands out
    from its neighbours in the spectrum, by medians of frequencies, which Bragg peaks do not raise.
    The other is that of white offsets of variance a and a random walk of variance b per line, from
    the median differences from line to line, which a few steps along the lines do not raise.

    Args:
        image: [H, W].
        power: Its periodogram, [H, W//2 + 1].
    """
    height, width = image.shape
    reach = max(3, height // 40)
    near = torch.stack((power[:, 0], power[:, 3:8].median(1).values))
    windows = torch.cat((near[:, -reach:], near, near[:, :reach]), 1).unfold(1, 2 * reach + 1, 1)
    whole, slow = windows.median(2).values / math.log(2)
    # The taper spreads the power of whole lines over the columns beside the first one.
    visible = (whole - slow).clamp(min=0) / _taper(width).mean().square().item()
    first = image.diff(dim=0).median(1).values
    once, twice = (
        (x - x.median()).square().median().item() / _REAL_MEDIAN for x in (first, first.diff())
    )
    white = max(0.0, twice / 2 - once)  # once = 2 a + b, twice = 6 a + 2 b
    walk = max(0.0, once - 2 * white)
    frequency = 2 * math.pi * torch.fft.fftfreq(height, dtype=torch.float64)
    model = width * (white + walk / (2 - 2 * frequency.cos()).clamp(min=1e-9))
    return torch.minimum(visible, (model - slow).clamp(min=0))


def _line_differences(image: Tensor) -> Tensor:
    """Return the power of the second difference from line to line, of unit gain for noise."""
    middle = image[:-2] - 2 * image[1:-1] + image[2:]
    taper = _taper(image.shape[1]).to(image)
    power: Tensor = torch.fft.rfft(middle * taper / math.sqrt(6), norm="ortho").abs().square()
    return power
