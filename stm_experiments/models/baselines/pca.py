"""Principal components of the training patches."""

from collections.abc import Iterable

import torch
from torch import Tensor

from stm_experiments.models.interfaces import AutoencoderModule


class PCA(AutoencoderModule):
    """Principal components of the patches: the linear autoencoder that every network must beat.

    It is fitted in closed form.

    Args:
        components: Number of principal components, the length of the latent vector.
        window: Patch size, px.

    Raises:
        ValueError: If there are no components, or more than pixels.
    """

    label = "PCA"
    window: int
    mean: Tensor
    components: Tensor

    def __init__(self, components: int = 10, window: int = 17) -> None:
        super().__init__()
        if not 1 <= components <= window**2:
            raise ValueError(
                f"PCA on {window}x{window} px patches takes 1 to {window**2} components, "
                f"got {components}"
            )
        self.window = window
        self.register_buffer("mean", torch.zeros(window**2))
        self.register_buffer("components", torch.zeros(components, window**2))

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Compute the mean and the leading eigenvectors of the covariance in one pass.

        Args:
            batches: Patches [B, 1, window, window], in any number of batches.

        Raises:
            ValueError: If there are no more patches than components.
        """
        pixels = self.window**2
        count, total = 0, torch.zeros(pixels, dtype=torch.float64)
        products = torch.zeros(pixels, pixels, dtype=torch.float64)
        for patches in batches:
            # Products in float32, sums in float64: the relative rounding error stays near 1e-7.
            rows = patches.flatten(1).float().cpu()
            count += len(rows)
            total += rows.sum(0, dtype=torch.float64)
            products += (rows.T @ rows).double()
        if count <= len(self.components):
            raise ValueError(
                f"PCA with {len(self.components)} components needs more patches, got {count}"
            )
        mean = total / count
        covariance = products / count - torch.outer(mean, mean)
        _, vectors = torch.linalg.eigh(covariance)
        leading = vectors.flip(1)[:, : len(self.components)].T
        # The sign of an eigenvector is arbitrary: fix it, so that equal data give equal codes.
        peak = leading.gather(1, leading.abs().argmax(1, keepdim=True))
        self.mean.copy_(mean)
        self.components.copy_(leading * peak.sign())

    def truncated(self, components: int) -> "PCA":
        """Return the same fit with its first components only."""
        smaller = PCA(components, self.window)
        smaller.mean.copy_(self.mean)
        smaller.components.copy_(self.components[:components])
        return smaller

    def encode(self, patches: Tensor) -> Tensor:
        """Map patches [B, 1, w, w] to principal coordinates [B, D]."""
        return (patches.flatten(1) - self.mean) @ self.components.T

    def decode(self, codes: Tensor) -> Tensor:
        """Map principal coordinates [B, D] to patches [B, 1, w, w]."""
        return (codes @ self.components + self.mean).view(-1, 1, self.window, self.window)
