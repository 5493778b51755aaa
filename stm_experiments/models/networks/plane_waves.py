"""The strongest plane wave in what a denoiser takes for noise: a striation, a mains hum."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_PADDING = 2  # times the image's side: half a Fourier bin is close enough to climb from
_SLOWEST = 1.5  # periods per image below which a wave cannot be told from a tilt or a bow


class PlaneWave(NamedTuple):
    """A plane wave in an image.

    Attributes:
        wave: The wave itself, [H, W].
        kappa: Wave vector along axes 0 and 1, rad per px, [2] float64.
        share: Its amplitude in the noise over its amplitude in the image.
        prominence: Its amplitude over the median of the noise's spectrum.
    """

    wave: Tensor
    kappa: Tensor
    share: float
    prominence: float


def strongest_wave(noise: Tensor, image: Tensor) -> PlaneWave:
    """The strongest plane wave of a noise image, fitted under a Hann window.

    Args:
        noise: In which the wave is sought and fitted, [H, W].
        image: Of which the noise is a part, [H, W].
    """
    height, width = noise.shape
    rows, columns = (
        torch.arange(side, dtype=torch.float64, device=noise.device) - side // 2
        for side in (height, width)
    )
    window = torch.outer(*(torch.cos(math.pi * x / (len(x) + 1)) ** 2 for x in (rows, columns)))
    window /= window.sum()

    def weighted(pixels: Tensor) -> Tensor:
        pixels = pixels.double()
        return (pixels - (pixels * window).sum()) * window

    seen = weighted(noise)
    shape = (_PADDING * height, _PADDING * width)
    spectrum = torch.fft.rfft2(seen.float(), shape).abs()
    down = torch.fft.fftfreq(shape[0], device=noise.device)[:, None]
    across = torch.fft.rfftfreq(shape[1], device=noise.device)
    spectrum[(down * height) ** 2 + (across * width) ** 2 < _SLOWEST**2] = 0
    row, column = divmod(int(spectrum.argmax()), spectrum.shape[1])
    kappa = 2 * math.pi * torch.stack((down[row, 0], across[column])).double()

    def amplitude(kappa: Tensor, pixels: Tensor) -> Tensor:
        angle = kappa[0] * rows
        down = torch.stack((angle.cos(), -angle.sin())) @ pixels
        return 2 * torch.complex(*down) @ torch.exp(-1j * kappa[1] * columns)

    # Climbs to the peak between the bins by the parabola through three points, axis by axis.
    steps = torch.tensor([2 * math.pi / shape[0], 2 * math.pi / shape[1]], dtype=torch.float64)
    for _ in range(6):
        for step in steps.to(kappa.device).diag():
            low, here, high = (
                amplitude(kappa + sign * step, seen).abs().item() for sign in (-1, 0, 1)
            )
            bend = low - 2 * here + high
            if bend < 0:
                kappa = kappa + step * min(max((low - high) / (2 * bend), -1.0), 1.0)
        steps /= 2.5
    found = amplitude(kappa, seen)
    phases = torch.outer(torch.exp(1j * kappa[0] * rows), torch.exp(1j * kappa[1] * columns))
    return PlaneWave(
        wave=(found * phases).real.to(noise.dtype),
        kappa=kappa,
        share=(found.abs() / amplitude(kappa, weighted(image)).abs().clamp(min=1e-12)).item(),
        prominence=(spectrum.max() / spectrum.median().clamp(min=1e-12)).item(),
    )
