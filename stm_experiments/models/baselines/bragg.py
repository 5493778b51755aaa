"""The Bragg filter."""

import math

import scipy
import torch
from torch import Tensor

from stm_experiments.core.spectra import bragg_peaks, hann_power
from stm_experiments.models.interfaces import NetworkModule


class BraggFilter(NetworkModule):
    """Keeps the peaks of an image's Fourier transform and drops what is between them.

    The peaks are found in the Hann-windowed transform, above ``threshold`` times the median power
    at their radius (one by chance in about 1000 images of 257 px white noise), and refined to a
    fraction of a frequency step, so that no lattice falls between two steps. An image is no period
    of its lattice, which would smear every peak: so it is continued beyond its borders by what the
    kept peaks predict there, over and over (Papoulis and Gerchberg), and filtered with its
    continuation.

    What it cannot do, and why it flatters: whatever is not periodic over some ``smoothing`` px (the
    jitter of an atom, a vacancy, an adatom) is removed like noise: vacancies are filled. Periodic
    noise (striation, hum) has peaks and stays. Of an image without peaks its slow background is
    left.

    Args:
        smoothing: Standard deviation of the Gaussian in which a peak's amplitude is averaged, px;
            in the transform a peak is kept with a deviation of 1 / (2 pi smoothing) cycles per px.
        threshold: Power of a peak over the median at its radius.
        most: Most peaks (pairs of +G and -G) that are kept.
        iterations: Continuations.

    Raises:
        ValueError: If a setting is not above 0, or an image is smaller than 16 px.
    """

    label = "Bragg filter"
    window = None

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
        """Images [B, 1, H, W] -> their periodic part, same shape."""
        if min(images.shape[-2:]) < 16:
            raise ValueError(f"an image of {min(images.shape[-2:])} px is too small for its peaks")
        return torch.stack([self._denoise(image[0])[None] for image in images.float()])

    def _denoise(self, image: Tensor) -> Tensor:
        """[H, W] -> [H, W]."""
        height, width = image.shape
        level = image.mean()
        margin = math.ceil(4 * self.smoothing)
        larger = [scipy.fft.next_fast_len(n + margin, real=True) for n in image.shape]
        mask = self._mask(self.peaks(image), larger)
        canvas = image.new_zeros(larger)
        for _ in range(self.iterations):
            canvas[:height, :width] = image - level
            kept = torch.fft.irfft2(torch.fft.rfft2(canvas) * mask, s=larger)
            canvas = kept.clone()
        return kept[:height, :width] + level

    def _mask(self, peaks: Tensor, size: list[int]) -> Tensor:
        """Gaussians around the centre and the peaks, at most 1, on the half plane of rfft2."""
        u = torch.fft.fftfreq(size[0], device=peaks.device)
        v = torch.fft.rfftfreq(size[1], device=peaks.device)
        mask = torch.zeros(len(u), len(v), device=peaks.device)
        for peak in (peaks.new_zeros(2), *peaks, *-peaks):
            # Frequencies are periodic: 0.5 and -0.5 cycles per px are one.
            du, dv = ((f - g + 0.5) % 1 - 0.5 for f, g in zip((u, v), peak, strict=True))
            narrow = 2 * (math.pi * self.smoothing) ** 2
            mask = torch.maximum(
                mask, torch.exp(-narrow * du.square())[:, None] * torch.exp(-narrow * dv.square())
            )
        return mask

    def peaks(self, image: Tensor) -> Tensor:
        """Frequencies of the peaks, strongest first, one of each pair +G, -G.

        Args:
            image: [H, W].

        Returns:
            [P, 2] along axes 0 and 1, cycles per px.
        """
        # The window widens frequency 0 to two steps, which are kept anyway.
        return bragg_peaks(
            hann_power(image), prominence=self.threshold, most=self.most, reach=1, least_radius=2.5
        ).frequency
