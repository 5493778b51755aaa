"""Classical denoisers with the signature of a network: a trained model must beat them.

None of them has trained parameters. Where no strength is given, it follows from the white noise in
the image itself.
"""

import importlib.util
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy  # its parts, and those of scikit-image, are loaded when they are first used
import skimage
import torch
from numpy.typing import NDArray
from torch import Tensor

from stm_experiments.core.noise import noise_sigma
from stm_experiments.models.interfaces import NetworkModule

Image = NDArray[np.float32]


def least_risk(
    image: Image, candidates: Sequence[float], method: Callable[[Image, float], Image]
) -> float:
    """Return the strength with the least expected error, by Stein's unbiased risk estimate.

    The risk of a filter f on y = clean + noise of standard deviation s is |f(y) - y|^2 +
    2 s^2 div f(y), up to a constant. One random probe, always the same, measures the divergence
    (Ramani et al., IEEE Trans. Image Process. 17, 1540 (2008)).

    Args:
        image: [H, W].
        candidates: Strengths to try.
        method: The filter: (image, strength) -> image.
    """
    sigma = noise_sigma(image)
    probe = np.sign(np.random.default_rng(0).random(image.shape, np.float32) - np.float32(0.5))
    step = np.float32(max(0.1 * sigma, 1e-4))
    risks = []
    for strength in candidates:
        output = method(image, strength)
        shifted = method(image + step * probe, strength)
        divergence = float(np.mean(probe * (shifted - output))) / float(step)
        risks.append(float(np.mean((output - image) ** 2)) + 2 * sigma**2 * divergence)
    return candidates[int(np.argmin(risks))]


class Filter(NetworkModule):
    """A filter of single images: ``filter_image`` runs on every image of a batch, on the CPU."""

    def filter_image(self, image: Image) -> Image:
        """Filter one image [H, W]."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Filter images [B, 1, H, W] on about [-1, 1]; return them on their device."""
        output = torch.empty_like(images, dtype=torch.float32, device="cpu")
        for result, image in zip(output, images.detach().cpu().float(), strict=True):
            result[0] = torch.from_numpy(np.ascontiguousarray(self.filter_image(image[0].numpy())))
        return output.to(images.device)


def check_strength(value: float | None, what: str) -> None:
    """Refuse a strength that is neither above 0 nor None.

    Raises:
        ValueError: If it is neither.
    """
    if value is not None and not (math.isfinite(value) and value > 0):
        raise ValueError(f"{what} is above 0, or None for the image's own, not {value!r}")


class Gaussian(Filter):
    """Gaussian blur.

    Args:
        width: Standard deviation, px. None: the one with the least expected error.

    Raises:
        ValueError: If the width is not above 0.
    """

    label = "Gaussian"
    widths = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0)

    def __init__(self, width: float | None = None) -> None:
        super().__init__()
        check_strength(width, "the width (px)")
        self.width = width

    def filter_image(self, image: Image) -> Image:
        """Filter one image [H, W]."""
        return _blur(image, self.width or least_risk(image, self.widths, _blur))


def _blur(image: Image, width: float) -> Image:
    blurred: Image = scipy.ndimage.gaussian_filter(image, width, mode="reflect")
    return blurred


class Median(Filter):
    """Median of a square.

    Args:
        size: Side of the square, px, odd. None: the one of 1 (no filter), 3, 5 and 7 with the least
            expected error.

    Raises:
        ValueError: If the size is not odd and above 0.
    """

    label = "median"
    sizes = (1, 3, 5, 7)

    def __init__(self, size: int | None = None) -> None:
        super().__init__()
        if size is not None and (not isinstance(size, int) or size < 1 or size % 2 == 0):
            raise ValueError(f"the size is an odd number of px, or None, not {size!r}")
        self.size = size

    def filter_image(self, image: Image) -> Image:
        """Filter one image [H, W]."""
        return _median(image, self.size or least_risk(image, self.sizes, _median))


def _median(image: Image, size: float) -> Image:
    filtered: Image = scipy.ndimage.median_filter(image, int(size), mode="reflect")
    return filtered


class NonLocalMeans(Filter):
    """Non-local means (Buades et al. 2005; scikit-image): means over similar patches.

    Args:
        sigma: Standard deviation of the white noise. None: estimated from the image.
        patch: Side of the patches that are compared, px.
        distance: Largest distance to a patch that is compared, px.

    Raises:
        ValueError: If sigma is not above 0.
    """

    label = "non-local means"

    def __init__(self, sigma: float | None = None, patch: int = 7, distance: int = 15) -> None:
        super().__init__()
        check_strength(sigma, "sigma")
        self.sigma, self.patch, self.distance = sigma, patch, distance

    def filter_image(self, image: Image) -> Image:
        """Filter one image [H, W]."""
        sigma = self.sigma or noise_sigma(image)
        if sigma == 0:
            return image
        denoised: Image = skimage.restoration.denoise_nl_means(
            image,
            self.patch,
            self.distance,
            h=1.1 * sigma,
            sigma=sigma,
            fast_mode=True,
            preserve_range=True,
        )
        return denoised


class Wavelet(Filter):
    """Soft thresholds on wavelet coefficients (BayesShrink; scikit-image).

    The mean over 16 shifts of the image removes the artefacts of the decimated transform (cycle
    spinning).

    Args:
        sigma: Standard deviation of the white noise. None: estimated from the image.

    Raises:
        ValueError: If sigma is not above 0, or PyWavelets is not installed.
    """

    label = "wavelet"

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        check_strength(sigma, "sigma")
        # scikit-image needs PyWavelets, but does not install it.
        if importlib.util.find_spec("pywt") is None:
            raise ValueError("wavelets need PyWavelets: pip install PyWavelets")
        self.sigma = sigma

    def filter_image(self, image: Image) -> Image:
        """Filter one image [H, W]."""
        sigma = self.sigma or noise_sigma(image)
        if sigma == 0:
            return image
        total = np.zeros_like(image)
        for shift in itertools.product(range(4), repeat=2):
            denoised = skimage.restoration.denoise_wavelet(
                np.roll(image, shift, (0, 1)), sigma, "sym4", method="BayesShrink"
            )
            total += np.roll(denoised, (-shift[0], -shift[1]), (0, 1))
        return total / np.float32(16)


class TotalVariation(Filter):
    """Total variation denoising (Rudin, Osher, Fatemi 1992; Chambolle's method, scikit-image).

    Args:
        weight: Strength, in the image's unit. None: 0.7 times the noise estimated from the image.

    Raises:
        ValueError: If the weight is not above 0.
    """

    label = "total variation"

    def __init__(self, weight: float | None = None) -> None:
        super().__init__()
        check_strength(weight, "the weight")
        self.weight = weight

    def filter_image(self, image: Image) -> Image:
        """Filter one image [H, W]."""
        weight = self.weight or 0.7 * noise_sigma(image)
        if weight == 0:
            return image
        denoised: Image = skimage.restoration.denoise_tv_chambolle(image, weight, eps=1e-4)
        return denoised
