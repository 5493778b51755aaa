"""Plane waves that fill an image: the fit of the strongest one, and a search around a denoiser."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.models.interfaces import Network, NetworkModule

SMALLEST = 128  # px, least side of an image that is judged by its plane waves


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
        prominence=(spectrum.max() / spectrum.median().clamp(min=1e-12)).item(),
    )


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


@dataclass(frozen=True)
class WaveRules:
    """The constants of ``WaveSearch``.

    They were set by hand on simulated images and on the published training pairs, and tested by
    ``benchmarks.ablation`` on 15 to 25 images of each kind. "Equal" means that no error changes by
    more than its 95 % interval.

    Attributes:
        most: Plane waves that are subtracted from an image, at most. None: a third more error where
            there is a striation; 4 and 16: equal.
        smallest: Least side of an image in which waves are sought, px. Off: in images of 96 px the
            error doubles where the sample has a wave, and is a fifth less where there is a
            striation.
        share: Least part of a wave that the network removes by itself. Off: a third more error
            where the sample has a charge-density wave; 0.075 and 0.3: equal.
        prominence: Least height of its peak over the median of the noise's spectrum; white noise
            alone reaches 4. Off: 5 % more error in images without a wave; 16: equal.
    """

    most: int = 8
    smallest: int = SMALLEST
    share: float = 0.15
    prominence: float = 8.0


class WaveSearch(NetworkModule):
    """A denoiser that is called again until the noise holds no plane wave.

    A striation or the mains hum fills the whole image: it is a sharp peak in the image's Fourier
    transform, but weak within a network's field of view, and one pass removes only a part of it.
    So the strongest plane wave of the noise is subtracted from the image, and the rest passes the
    network again.

    Args:
        net: The denoiser, for images of any size.
        rules: When a wave is subtracted, and when the search ends.
    """

    def __init__(self, net: Network, rules: WaveRules | None = None) -> None:
        super().__init__()
        self.net = net
        self.rules = rules or WaveRules()
        self.label, self.window, self.card = net.label, net.window, net.card

    def forward(self, images: Tensor) -> Tensor:
        """Map noisy images [B, 1, H, W] to denoised images of the same scale; any H and W."""
        clean = self.net(images)
        if min(images.shape[-2:]) < self.rules.smallest:
            return clean
        waves = torch.zeros_like(images)
        active = list(range(len(images)))
        for _ in range(self.rules.most):
            totals = {}
            for i in active:
                total = self._with_next(waves[i, 0], images[i, 0], clean[i, 0])
                if total is not None:
                    totals[i] = total
            if not totals:
                break
            active = list(totals)
            waves[active, 0] = torch.stack([*totals.values()])
            clean[active] = self.net(images[active] - waves[active])
        return clean

    def _with_next(self, waves: Tensor, image: Tensor, clean: Tensor) -> Tensor | None:
        """Return the waves to subtract with the next one added, [H, W]; None: there is no other."""
        rest = image - waves
        wave = strongest_wave(rest - clean, rest)
        if wave.share <= self.rules.share or wave.prominence <= self.rules.prominence:
            return None
        return waves + wave.wave
