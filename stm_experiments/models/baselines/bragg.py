"""The Bragg filter."""

import math

import scipy
import torch
from torch import Tensor, nn


class BraggFilter(nn.Module):
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
    window: int | None = None

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
        height, width = image.shape
        hann = [torch.hann_window(n, device=image.device) for n in image.shape]
        weight = hann[0][:, None] * hann[1]
        level = (image * weight).sum() / weight.sum()
        spectrum = torch.fft.fft2((image - level) * weight).abs().square().log()
        spectrum = torch.where(spectrum.isfinite(), spectrum, -100.0)
        u, v = (torch.fft.fftfreq(n, device=image.device) for n in image.shape)
        radius = torch.hypot(u[:, None], v)
        ring = (radius * min(height, width) / 4).long()
        background = torch.stack([spectrum[ring == r].median() for r in range(int(ring.max()) + 1)])
        rolled = torch.stack(
            [spectrum.roll((i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        )
        # The window widens the centre to two steps, which are kept anyway; one half has all pairs.
        apart = radius > 2.5 / min(height, width)
        half = (u[:, None] > 0) | ((u[:, None] == 0) & (v > 0))
        found = (spectrum == rolled.amax(0)) & apart & half
        found &= spectrum > background[ring] + math.log(self.threshold)
        place = found.nonzero()
        place = place[spectrum[found].argsort(descending=True)][: self.most]
        # The logarithm of a Hann window's peak is close to a parabola at its top.
        offset = torch.zeros(len(place), 2, device=image.device)
        middle = spectrum[tuple(place.T)]
        for axis, (before, after) in enumerate(((7, 1), (5, 3))):
            low, high = rolled[before][tuple(place.T)], rolled[after][tuple(place.T)]
            offset[:, axis] = 0.5 * (low - high) / (low - 2 * middle + high).clamp(max=-1e-6)
        step = torch.tensor([1 / height, 1 / width], device=image.device)
        signed = torch.stack([u[place[:, 0]], v[place[:, 1]]], 1)
        return signed + offset.clamp(-0.5, 0.5) * step
