"""The Wiener filter of an image's own patches."""

from collections.abc import Sequence
from typing import NamedTuple

import scipy  # its parts are loaded when they are first used
import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.noise import noise_spectrum
from stm_experiments.models.baselines.patch_pca import patch_cover
from stm_experiments.models.interfaces import NetworkModule


class PatchFilter(NamedTuple):
    """A linear map of patches of n pixels, ``back @ (components @ patch)``.

    Attributes:
        components: Of which a patch is made, [k, n].
        back: What each of them adds to the output, [n, k].
    """

    components: Tensor
    back: Tensor


class ImageStatistics(NamedTuple):
    """What filters of an image need of it, whatever the size of their patches.

    Attributes:
        heights: The image without its mean, [H, W] float64.
        spectrum: Its Fourier transform (``rfft2``), padded to the size below.
        size: Padded height and width: the sums over products of pixels are not periodic.
        products: Sum of the products of the pixels at each lag, periodic in the padded size.
        noise: Covariance of the noise at each lag, periodic in the image's size, [H, W].
    """

    heights: Tensor
    spectrum: Tensor
    size: tuple[int, int]
    products: Tensor
    noise: Tensor


class PatchWiener(NetworkModule):
    """The Wiener filter of an image's own patches: each component is weighted by its signal.

    The components are the generalised eigenvectors of the patches' covariance C and of the noise's
    covariance S. A component of eigenvalue v (power over noise power) is multiplied by 1 - 1/v, and
    dropped if v is below ``least``; where patches overlap, the mean is taken. Nothing is learnt in
    advance and no number of components is chosen: ``PatchPCA`` with a soft and self-tuned end, and
    for noise of any spectrum (S is white for white noise, and then C and S commute).

    With all overlapping patches this is one convolution, and C follows from the image's
    autocorrelation: the work does not grow with the number of components. Near the borders, where
    fewer patches overlap, each line has its own convolution; in the corners, the patches are
    filtered one by one.

    Args:
        rows: Height of the patches, px.
        columns: Width of the patches, px; None: as high. Wide patches tell noise that is slow along
            the fast axis from the sample.
        least: Least eigenvalue of a component that is kept.

    Raises:
        ValueError: If a number makes no sense.
    """

    label = "patch Wiener filter"

    def __init__(self, rows: int = 17, columns: int | None = None, least: float = 2.0) -> None:
        super().__init__()
        self.sides = (rows, rows if columns is None else columns)
        if min(self.sides) < 2 or not least >= 1:
            raise ValueError(
                f"patches have at least 2 px a side and components a power of at least 1, "
                f"not {self.sides[0]} x {self.sides[1]} px and {least}"
            )
        self.least = least

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
        return filtered_by_all([self], image, spectrum)[0]

    def fits(self, image: Tensor) -> bool:
        """Return whether an image [H, W] has enough patches."""
        return all(length >= 2 * side for length, side in zip(image.shape, self.sides, strict=True))

    def applied(self, image: ImageStatistics) -> Tensor:
        """Return the filtered heights of an image, [H, W]."""
        return self._applied(image, self._filter(image))

    def _filter(self, image: ImageStatistics) -> PatchFilter:
        """Return the filter of one patch."""
        lags = _lags(self.sides).to(image.heights.device)
        signal = _autocovariance(image, self.sides).flatten()[lags]
        noise = _central(image.noise, self.sides).flatten()[lags]
        ridge = 1e-6 * noise.diagonal().mean() + 1e-13 * signal.diagonal().mean()
        root = torch.linalg.cholesky(noise + ridge * torch.eye(len(noise)).to(noise))
        half = torch.linalg.solve_triangular(root, signal, upper=False)
        whitened = torch.linalg.solve_triangular(root, half.T, upper=False)
        values, vectors = torch.linalg.eigh((whitened + whitened.T) / 2)
        kept = values > self.least
        values, vectors = values[kept], vectors[:, kept]
        components = torch.linalg.solve_triangular(root, vectors.T, upper=False, left=False)
        return PatchFilter(components, root @ vectors * (1 - 1 / values))

    def _applied(self, image: ImageStatistics, patch_filter: PatchFilter) -> Tensor:
        """Filter all patches of an image and average them."""
        down, right = (side - 1 for side in self.sides)
        heights = image.heights
        height, width = heights.shape
        if height <= 4 * down or width <= 4 * right:
            return self._one_by_one(heights, patch_filter)
        result = torch.empty_like(heights)
        inner = (slice(down, height - down), slice(right, width - right))
        result[inner] = _convolved(image, self._kernel(patch_filter))
        weights = (patch_filter.back @ patch_filter.components).view(self.sides * 2)
        turned = weights.permute(1, 0, 3, 2)
        result[:down, inner[1]] = _border(heights, weights)
        result[-down:, inner[1]] = _border(heights.flip(0), weights.flip(0, 2)).flip(0)
        result[inner[0], :right] = _border(heights.T, turned).T
        result[inner[0], -right:] = _border(heights.T.flip(0), turned.flip(0, 2)).T.flip(1)
        # A block of twice the edges holds all patches that cover its outer quarter.
        for rows in (slice(down), slice(-down, None)):
            for columns in (slice(right), slice(-right, None)):
                corner = (_doubled(rows), _doubled(columns))
                block = self._one_by_one(heights[corner], patch_filter)
                result[rows, columns] = block[rows, columns]
        return result

    def _kernel(self, patch_filter: PatchFilter) -> Tensor:
        """Return the convolution that averages the filter over all patches."""
        weights = patch_filter.back @ patch_filter.components
        shape = [2 * side - 1 for side in self.sides]
        lags = _lags(self.sides).to(weights.device)
        kernel = weights.new_zeros(shape[0] * shape[1])
        kernel.index_add_(0, lags.flatten(), weights.flatten())
        return kernel.view(*shape) / len(weights)

    def _one_by_one(self, heights: Tensor, patch_filter: PatchFilter) -> Tensor:
        """Filter each patch and average where they overlap, [H, W]."""
        patches = F.unfold(heights[None, None].float(), self.sides)[0]
        filtered = patch_filter.back.float() @ (patch_filter.components.float() @ patches)
        total = F.fold(filtered[None], heights.shape, self.sides)
        rows, columns = (
            patch_cover(length, side).to(total)
            for length, side in zip(heights.shape, self.sides, strict=True)
        )
        return (total[0, 0] / (rows[:, None] * columns)).to(heights.dtype)


def filtered_by_all(
    filters: Sequence[PatchWiener], image: Tensor, spectrum: Tensor
) -> list[Tensor]:
    """Denoise one image whose noise is known by each of several filters; see ``filtered``.

    Args:
        filters: Which share the Fourier transforms of the image.
        image: [H, W].
        spectrum: Of its noise.

    Returns:
        One image [H, W] for each filter.
    """
    usable = [module for module in filters if module.fits(image)] if spectrum.sum() > 0 else []
    if not usable:
        return [image.clone() for _ in filters]
    level = image.mean()
    heights = (image - level).double()
    largest = (max(module.sides[axis] for module in usable) for axis in (0, 1))
    rows, columns = (
        scipy.fft.next_fast_len(length + side, real=True)
        for length, side in zip(heights.shape, largest, strict=True)
    )
    transform = torch.fft.rfft2(heights, (rows, columns))
    statistics = ImageStatistics(
        heights=heights,
        spectrum=transform,
        size=(rows, columns),
        products=torch.fft.irfft2(transform.abs().square(), (rows, columns)),
        noise=torch.fft.irfft2(spectrum.to(heights), heights.shape),
    )
    return [
        (module.applied(statistics) + level).to(image.dtype) if module in usable else image.clone()
        for module in filters
    ]


def _lags(sides: tuple[int, int]) -> Tensor:
    """Return the flat index of the lag between any two of the n pixels of a patch, [n, n]."""
    down, right = (torch.arange(side)[:, None] - torch.arange(side) + side - 1 for side in sides)
    flat = down[:, None, :, None] * (2 * sides[1] - 1) + right[None, :, None, :]
    count = sides[0] * sides[1]
    return flat.reshape(count, count)


def _central(lags: Tensor, sides: tuple[int, int]) -> Tensor:
    """Return the lags of less than a patch, of either sign, along both axes."""
    down, right = (torch.arange(1 - side, side) for side in sides)
    return lags[down][:, right]


def _autocovariance(image: ImageStatistics, sides: tuple[int, int]) -> Tensor:
    """Return the mean product of pixels at each lag of less than a patch, along both axes."""
    lengths = zip(image.heights.shape, sides, strict=True)
    pairs = [length - torch.arange(1 - side, side).abs() for length, side in lengths]
    return _central(image.products, sides) / (pairs[0][:, None] * pairs[1]).to(image.products)


def _convolved(image: ImageStatistics, kernel: Tensor) -> Tensor:
    """Convolve an image where the kernel fits into it, [H - h + 1, W - w + 1]."""
    down, right = (length - 1 for length in kernel.shape)
    height, width = image.heights.shape
    products = image.spectrum * torch.fft.rfft2(kernel, image.size)
    result: Tensor = torch.fft.irfft2(products, image.size)
    return result[down:height, right:width]


def _border(heights: Tensor, weights: Tensor) -> Tensor:
    """Filter the first rows of an image, where patches begin in fewer rows than a patch has.

    Args:
        heights: [H, W].
        weights: Of the pixels of a patch (last two axes) in those of the filtered patch,
            [h, w, h, w].

    Returns:
        [h - 1, W - 2 (w - 1)].
    """
    rows, columns = weights.shape[:2]
    along = weights.new_zeros(rows, rows, 2 * columns - 1)  # by the lag along a row
    for column in range(columns):
        begin = columns - 1 - column
        along[:, :, begin : begin + columns] += weights[:, column] / columns
    kernel = weights.new_zeros(rows - 1, 2 * rows - 2, 2 * columns - 1)
    for top in range(rows - 1):
        kernel[top:, top : top + rows] += along[: rows - 1 - top]
    kernel /= torch.arange(1, rows)[:, None, None].to(kernel)
    strip = heights[None, : 2 * rows - 2].float()
    return F.conv1d(strip, kernel.float())[0].to(heights.dtype)


def _doubled(edge: slice) -> slice:
    """Return twice the first or last pixels of an axis."""
    return slice(2 * edge.start, None) if edge.start else slice(2 * edge.stop)
