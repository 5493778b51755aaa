"""Principal components of an image's own patches."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.models.interfaces import NetworkModule

_COVARIANCE_ROWS = 32  # rows of patches at a time: bounds the memory on large images


class PatchPCA(NetworkModule):
    """Principal components of an image's own patches: repeated structure stays, noise goes.

    Every patch of the image is projected onto the leading eigenvectors of the patches' covariance;
    where projections overlap, their mean is taken. Nothing is learnt in advance: one image holds
    enough repetitions of its lattice. For the same reason a single defect is hardly represented
    (a vacancy is partly filled), and other repeated structure (stripes, hum) is kept.

    The projection of all patches is a convolution with the components, and the sum of the
    projections is the transposed convolution.

    Args:
        components: Number of principal components.
        patch: Side of the patches, px.

    Raises:
        ValueError: If the numbers make no sense, or an image is smaller than twice the patch.
    """

    label = "patch PCA"

    def __init__(self, components: int = 32, patch: int = 17) -> None:
        super().__init__()
        if patch < 1 or not 1 <= components <= patch**2:
            raise ValueError(
                f"patches of {patch}x{patch} px have 1 to {patch**2} components, not {components}"
            )
        self.components, self.patch = components, patch

    def forward(self, images: Tensor) -> Tensor:
        """Denoise images [B, 1, H, W], each by its own components."""
        side = min(images.shape[-2:])
        if side < 2 * self.patch - 1:
            raise ValueError(
                f"an image of {side} px has too few patches of {self.patch} px to analyse"
            )
        return torch.stack([self._denoise(image) for image in images.float()])

    def _denoise(self, image: Tensor) -> Tensor:
        """Denoise one image [1, H, W]."""
        level = image.mean()
        image = (image - level)[None]
        mean, vectors = self._components(image)
        kernels = vectors.T.reshape(-1, 1, self.patch, self.patch)
        # Few components at a time, to save memory: their maps are as large as the image.
        total = torch.zeros_like(image)
        for kernel in kernels.split(8):
            codes = F.conv2d(image, kernel, -kernel.flatten(1) @ mean)
            total += F.conv_transpose2d(codes, kernel)
        rows, columns = (patch_cover(length, self.patch).to(image) for length in image.shape[-2:])
        cover = rows[:, None] * columns
        # The mean patch is not projected: a transposed convolution of ones adds it to every patch.
        ones = image.new_ones(1, 1, *(n - self.patch + 1 for n in image.shape[-2:]))
        total += F.conv_transpose2d(ones, mean.view(1, 1, self.patch, self.patch))
        return total[0] / cover + level

    def _components(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean [p^2] and leading eigenvectors [p^2, k] of the patches of every other row."""
        pixels = self.patch**2
        total = image.new_zeros(pixels, dtype=torch.float64)
        products = image.new_zeros(pixels, pixels, dtype=torch.float64)
        count = 0
        starts = image.shape[-2] - self.patch + 1
        for first in range(0, starts, _COVARIANCE_ROWS):
            last = min(first + _COVARIANCE_ROWS, starts) + self.patch - 1
            patches = F.unfold(image[:, :, first:last], self.patch, stride=(2, 1))[0]
            total += patches.sum(1, dtype=torch.float64)
            products += (patches @ patches.T).double()
            count += patches.shape[1]
        mean = total / count
        covariance = products / count - torch.outer(mean, mean)
        vectors = torch.linalg.eigh(covariance)[1][:, -self.components :]
        return mean.float(), vectors.float()


def patch_cover(length: int, patch: int) -> Tensor:
    """Return the number of patches that cover each pixel of an axis, [length]."""
    pixel = torch.arange(length)
    largest = min(patch, length - patch + 1)
    return torch.minimum(pixel + 1, length - pixel).clamp(max=largest)
