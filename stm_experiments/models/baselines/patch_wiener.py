"""The Wiener filter of an image's own patches."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.noise import noise_spectrum
from stm_experiments.models.interfaces import NetworkModule


class PatchWiener(NetworkModule):
    """The Wiener filter of an image's own patches: each component is weighted by its signal.

    The components are the generalised eigenvectors of the patches' covariance C and of the noise's
    covariance S. A component of eigenvalue v (power over noise power) is multiplied by 1 - 1/v, and
    dropped if v is below ``least``; where patches overlap, the mean is taken. Nothing is learnt in
    advance and no number of components is chosen: ``PatchPCA`` with a soft and self-tuned end, and
    for noise of any spectrum (S is white for white noise, and then C and S commute).

    With all overlapping patches this is one convolution, and C follows from the image's
    autocorrelation: the work does not grow with the number of components. Near the borders, where
    fewer patches overlap, the patches are filtered one by one.

    Args:
        patch: Side of the patches, px.
        least: Least eigenvalue of a component that is kept.

    Raises:
        ValueError: If a number makes no sense.
    """

    label = "patch Wiener filter"

    def __init__(self, patch: int = 17, least: float = 2.0) -> None:
        super().__init__()
        if patch < 2 or not least >= 1:
            raise ValueError(
                f"patches have at least 2 px and components a power of at least 1, "
                f"not {patch} px and {least}"
            )
        self.patch, self.least = patch, least

    def forward(self, images: Tensor) -> Tensor:
        """Denoise images [B, 1, H, W], each by its own components and its own noise."""
        return torch.stack(
            [self.filtered(image[0], noise_spectrum(image[0]))[None] for image in images]
        )

    def filtered(self, image: Tensor, spectrum: Tensor) -> Tensor:
        """Denoise one image whose noise is known.

        Args:
            image: [H, W].
            spectrum: Of its noise; see ``core.noise.noise_spectrum``.

        Returns:
            [H, W] of the image's type; an image with too few patches, or without noise, as it is.
        """
        height, width = image.shape
        if min(height, width) < 2 * self.patch or spectrum.sum() <= 0:
            return image.clone()
        level = image.mean()
        heights = (image - level).double()
        weights = self._weights(heights, spectrum)
        return (self._applied(heights, weights) + level).to(image.dtype)

    def _weights(self, heights: Tensor, spectrum: Tensor) -> Tensor:
        """Return the filter of one patch, [p^2, p^2] float64."""
        signal = _block_toeplitz(_autocovariance(heights, self.patch), self.patch)
        noise_lags = torch.fft.irfft2(spectrum.to(heights), heights.shape)
        noise = _block_toeplitz(_central(noise_lags, self.patch), self.patch)
        ridge = 1e-6 * noise.diagonal().mean() + 1e-13 * signal.diagonal().mean()
        root = torch.linalg.cholesky(noise + ridge * torch.eye(len(noise)).to(noise))
        half = torch.linalg.solve_triangular(root, signal, upper=False)
        whitened = torch.linalg.solve_triangular(root, half.T, upper=False)
        values, vectors = torch.linalg.eigh((whitened + whitened.T) / 2)
        gains = torch.where(values > self.least, 1 - 1 / values.clamp(min=1), 0)
        shrunk = (vectors * gains) @ vectors.T
        return root @ torch.linalg.solve_triangular(root, shrunk, upper=False, left=False)

    def _applied(self, heights: Tensor, weights: Tensor) -> Tensor:
        """Filter all patches [p^2, p^2] of an image and average them."""
        edge = self.patch - 1
        height, width = heights.shape
        if min(height, width) <= 4 * edge:
            return self._one_by_one(heights, weights)
        result = torch.empty_like(heights)
        inner = (slice(edge, height - edge), slice(edge, width - edge))
        result[inner] = _convolved(heights, self._kernel(weights))
        # A strip of twice the edge holds all patches that cover its outer half.
        result[:edge] = self._one_by_one(heights[: 2 * edge], weights)[:edge]
        result[-edge:] = self._one_by_one(heights[-2 * edge :], weights)[-edge:]
        sides = slice(edge, height - edge)
        result[sides, :edge] = self._one_by_one(heights[:, : 2 * edge], weights)[sides, :edge]
        result[sides, -edge:] = self._one_by_one(heights[:, -2 * edge :], weights)[sides, -edge:]
        return result

    def _kernel(self, weights: Tensor) -> Tensor:
        """Return the convolution that averages the filter over all patches, [2 p - 1, 2 p - 1]."""
        side = 2 * self.patch - 1
        lags = _lags(self.patch).to(weights.device)
        kernel = weights.new_zeros(side * side).index_add_(0, lags.flatten(), weights.flatten())
        return kernel.view(side, side) / self.patch**2

    def _one_by_one(self, heights: Tensor, weights: Tensor) -> Tensor:
        """Filter each patch and average where they overlap, [H, W]."""
        patches = F.unfold(heights[None, None].float(), self.patch)[0]
        total = F.fold((weights.float() @ patches)[None], heights.shape, self.patch)
        cover = F.fold(torch.ones_like(patches)[None], heights.shape, self.patch)
        return (total / cover)[0, 0].to(heights.dtype)


def _lags(patch: int) -> Tensor:
    """Return the flat index of the lag between any two pixels of a patch, [p^2, p^2]."""
    pixel = torch.arange(patch)
    lag = pixel[:, None] - pixel + patch - 1
    flat = lag[:, None, :, None] * (2 * patch - 1) + lag[None, :, None, :]
    return flat.reshape(patch**2, patch**2)


def _block_toeplitz(covariance: Tensor, patch: int) -> Tensor:
    """Return the covariance of the pixels of a patch from that of all lags, [p^2, p^2]."""
    return covariance.flatten()[_lags(patch).to(covariance.device)]


def _central(lags: Tensor, patch: int) -> Tensor:
    """Return the lags of less than a patch, of either sign, [2 p - 1, 2 p - 1]."""
    index = torch.arange(1 - patch, patch)
    return lags[index][:, index]


def _autocovariance(heights: Tensor, patch: int) -> Tensor:
    """Return the mean product of pixels at each lag of less than a patch, [2 p - 1, 2 p - 1]."""
    height, width = heights.shape
    size = (height + patch, width + patch)  # room for the lags, as the transform is periodic
    products = torch.fft.irfft2(torch.fft.rfft2(heights, size).abs().square(), size)
    shape = [side - torch.arange(1 - patch, patch).abs() for side in (height, width)]
    pairs = (shape[0][:, None] * shape[1]).to(heights)
    return _central(products, patch) / pairs


def _convolved(heights: Tensor, kernel: Tensor) -> Tensor:
    """Convolve an image where the kernel fits into it, [H - k + 1, W - k + 1]."""
    first = kernel.shape[0] - 1
    spectrum = torch.fft.rfft2(heights) * torch.fft.rfft2(kernel, heights.shape)
    result: Tensor = torch.fft.irfft2(spectrum, heights.shape)[first:, first:]
    return result
