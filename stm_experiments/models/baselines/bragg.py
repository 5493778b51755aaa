"""The Bragg filter of whole images."""

import math

import scipy
import torch
from torch import Tensor

from stm_experiments.core.spectra import bragg_peaks, hann_power
from stm_experiments.models.interfaces import NetworkModule


class BraggFilter(NetworkModule):
    """A filter that keeps the peaks of an image's Fourier transform, and nothing between them.

    A peak of the Hann-windowed transform counts above ``threshold`` times the median power at its
    radius (by chance, one peak in about 1000 images of 257 px white noise). Its position is refined
    to a fraction of a frequency step. An image does not hold a whole number of periods of its
    lattice, which would smear every peak. Therefore the image is continued beyond its borders by
    the prediction of the kept peaks, repeatedly (Papoulis and Gerchberg), and filtered with its
    continuation.

    Limits: everything that is not periodic over about ``smoothing`` px, such as the jitter of an
    atom, a vacancy or an adatom, is removed like noise; vacancies are filled. Periodic noise, such
    as a striation or mains hum, has peaks and stays. Of an image without peaks only the slow
    background is left.

    Args:
        smoothing: Standard deviation of the Gaussian over which the amplitude of a peak is
            averaged, px; in the transform, peaks are kept with a standard deviation of
            1 / (2 pi smoothing) cycles per px.
        threshold: Least power of a peak over the median at its radius.
        most: Largest number of peaks (pairs of +G and -G).
        iterations: Number of continuations.

    Raises:
        ValueError: If a setting is not above 0, or an image is smaller than 16 px.
    """

    label = "Bragg filter"

    def __init__(
        self,
        smoothing: float = 5.0,
        threshold: float = 25.0,
        most: int = 120,
        iterations: int = 20,
    ) -> None:
        super().__init__()
        if not min(smoothing, threshold, most, iterations) > 0:
            raise ValueError("smoothing (px), threshold, most peaks and iterations are above 0")
        self.smoothing, self.threshold = smoothing, threshold
        self.most, self.iterations = most, iterations

    def forward(self, images: Tensor) -> Tensor:
        """Return the periodic parts of images [B, 1, H, W]."""
        if min(images.shape[-2:]) < 16:
            raise ValueError(f"an image of {min(images.shape[-2:])} px is too small for its peaks")
        return torch.stack([self._denoise(image[0])[None] for image in images.float()])

    def _denoise(self, image: Tensor) -> Tensor:
        """Return the periodic part of one image [H, W]."""
        height, width = image.shape
        level = image.mean()
        margin = math.ceil(4 * self.smoothing)
        larger = [scipy.fft.next_fast_len(n + margin, real=True) for n in image.shape]
        mask = self._mask(self.peaks(image), larger)
        canvas = image.new_zeros(larger)
        for _ in range(self.iterations):
            canvas[:height, :width] = image - level
            periodic: Tensor = torch.fft.irfft2(torch.fft.rfft2(canvas) * mask, s=larger)
            canvas = periodic.clone()
        return periodic[:height, :width] + level

    def _mask(self, peaks: Tensor, size: list[int]) -> Tensor:
        """Return Gaussians of height 1 at frequency 0 and the peaks, on the half plane of rfft2."""
        u = torch.fft.fftfreq(size[0], device=peaks.device)
        v = torch.fft.rfftfreq(size[1], device=peaks.device)
        mask = torch.zeros(len(u), len(v), device=peaks.device)
        for peak in (peaks.new_zeros(2), *peaks, *-peaks):
            # Frequencies are periodic: 0.5 and -0.5 cycles per px are the same.
            du, dv = ((f - g + 0.5) % 1 - 0.5 for f, g in zip((u, v), peak, strict=True))
            narrow = 2 * (math.pi * self.smoothing) ** 2
            mask = torch.maximum(
                mask, torch.exp(-narrow * du.square())[:, None] * torch.exp(-narrow * dv.square())
            )
        return mask

    def peaks(self, image: Tensor) -> Tensor:
        """Return the frequencies of the peaks, strongest first, one of each pair +G, -G.

        Args:
            image: [H, W].

        Returns:
            [P, 2] along axes 0 and 1, cycles per px.
        """
        # The window widens frequency 0 to two steps, which are kept anyway.
        return bragg_peaks(
            hann_power(image), prominence=self.threshold, most=self.most, reach=1, least_radius=2.5
        ).frequency
