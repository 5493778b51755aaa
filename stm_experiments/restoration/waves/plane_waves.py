"""Plane waves that fill an image: the fit of one, and of the strongest one."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST = 128  # px, least side of an image that is judged by its plane waves
_NEAR = 16  # half Fourier bins to each side of a wave, of which a Hann window fills 4


class PlaneWave(NamedTuple):
    """A plane wave in an image.

    Attributes:
        wave: The wave itself, [H, W].
        kappa: Wave vector along axes 0 and 1, rad per px, [2] float64.
        share: Its amplitude in the noise over its amplitude in the image.
        prominence: Its amplitude over the median of the noise's spectrum at the same frequency
            along the fast axis: at all frequencies along the slow axis, or at those near its own,
            whichever is higher. Noise alone reaches 5 in an image of 512 px.
    """

    wave: Tensor
    kappa: Tensor
    share: float
    prominence: float


class FittedWave(NamedTuple):
    """A plane wave fitted to an image.

    Attributes:
        kappa: Wave vector along axes 0 and 1, rad per px, [2] float64.
        amplitude: Complex; the wave is its real part times exp(i kappa x), x counted from the px
            (H // 2, W // 2).
    """

    kappa: Tensor
    amplitude: complex


def fit_wave(image: Tensor, start: Tensor) -> FittedWave:
    """Fit a plane wave to an image under a Hann window.

    Args:
        image: [H, W].
        start: Wave vector (axes 0 and 1), rad per px, to about half a Fourier bin, [2].
    """
    weighted = _windowed(image)
    kappa = start.double()
    # Climb to the peak between the bins by the parabola through three points, axis by axis.
    steps = torch.tensor([math.pi / side for side in image.shape], dtype=torch.float64)
    for _ in range(6):
        for step in steps.to(kappa.device).diag():
            low, here, high = (
                _amplitude(kappa + sign * step, weighted).abs().item() for sign in (-1, 0, 1)
            )
            bend = low - 2 * here + high
            if bend < 0:
                kappa = kappa + step * min(max((low - high) / (2 * bend), -1.0), 1.0)
        steps /= 2.5
    return FittedWave(kappa, complex(_amplitude(kappa, weighted).item()))


def strongest_wave(noise: Tensor, image: Tensor) -> PlaneWave:
    """Fit the strongest plane wave of a noise image under a Hann window.

    Waves of less than 1.5 periods per image are left out: they cannot be told from a tilt or a bow.

    Args:
        noise: In which the wave is sought and fitted, [H, W].
        image: Of which the noise is a part, [H, W].
    """
    height, width = noise.shape
    shape = (2 * height, 2 * width)  # half a Fourier bin is close enough to climb from
    spectrum = torch.fft.rfft2(_windowed(noise).float(), shape).abs()
    down = torch.fft.fftfreq(shape[0], device=noise.device)[:, None]
    across = torch.fft.rfftfreq(shape[1], device=noise.device)
    spectrum[(down * height) ** 2 + (across * width) ** 2 < 1.5**2] = 0
    row, column = divmod(int(spectrum.argmax()), spectrum.shape[1])
    start = 2 * math.pi * torch.stack((down[row, 0], across[column])).double()
    kappa, peak = fit_wave(noise, start)
    rows, columns = _centred_places(noise)
    phases = torch.outer(torch.exp(1j * kappa[0] * rows), torch.exp(1j * kappa[1] * columns))
    in_image = _amplitude(kappa, _windowed(image)).abs().clamp(min=1e-12)
    return PlaneWave(
        wave=(peak * phases).real.to(noise.dtype),
        kappa=kappa,
        share=(abs(peak) / in_image).item(),
        prominence=(spectrum[row, column] / _background(spectrum[:, column], row)).item(),
    )


def _background(spectrum: Tensor, row: int) -> Tensor:
    """Return the median of a column of a spectrum [R], all of it or near a row, if higher."""
    near = spectrum.roll(_NEAR - row)[: 2 * _NEAR + 1]
    return torch.maximum(spectrum.median(), near.median()).clamp(min=1e-12)


def _centred_places(image: Tensor) -> list[Tensor]:
    """Return rows and columns counted from the px (H // 2, W // 2)."""
    return [
        torch.arange(side, dtype=torch.float64, device=image.device) - side // 2
        for side in image.shape
    ]


def _windowed(image: Tensor) -> Tensor:
    """Return an image without its mean under a Hann window of unit sum, [H, W] float64."""
    sides = [torch.cos(math.pi * x / (len(x) + 1)) ** 2 for x in _centred_places(image)]
    window = torch.outer(*sides)
    window /= window.sum()
    pixels = image.double()
    return (pixels - (pixels * window).sum()) * window


def _amplitude(kappa: Tensor, windowed: Tensor) -> Tensor:
    """Return the complex amplitude of a wave in a windowed image."""
    rows, columns = _centred_places(windowed)
    angle = kappa[0] * rows
    down = torch.stack((angle.cos(), -angle.sin())) @ windowed
    return 2 * torch.complex(*down) @ torch.exp(-1j * kappa[1] * columns)
