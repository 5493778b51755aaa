"""The principal components of descriptions, at equal variance."""

import math

import torch
from torch import Tensor, nn


class Whitening(nn.Module):
    """Maps descriptions to uncorrelated numbers of mean 0 and variance 1.

    The numbers are the first principal components, whitened and then mixed by an orthogonal matrix
    (a cosine transform): each number has an equal part of every component, so that none of them is
    all noise. The map is a part of the model file: codes of other data keep their meaning.

    Args:
        length: Numbers of a description, K.
        components: Principal components that are kept, D.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, length: int, components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(length))
        self.register_buffer("axes", torch.zeros(length, components))

    @property
    def is_fitted(self) -> bool:
        """Whether the map has been fitted, here or in the run whose weights were loaded."""
        return bool(self.axes.any())

    def fit(self, descriptions: Tensor) -> None:
        """Fit the map to descriptions [N, K].

        Raises:
            ValueError: If they do not differ in as many directions as there are components.
        """
        points = descriptions.double()
        mean = points.mean(0)
        _, scales, axes = torch.linalg.svd(points - mean, full_matrices=False)
        components = self.axes.shape[1]
        if len(scales) < components or not scales[components - 1] > 1e-6 * scales[0]:
            raise ValueError(
                f"{len(points)} images differ in fewer than {components} ways: give more images "
                "(data.images_per_epoch), or a shorter code (model.net.latent)"
            )
        signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
        whitened = (axes * signs)[:components].T / scales[:components] * math.sqrt(len(points))
        self.mean.copy_(mean)
        self.axes.copy_(whitened @ cosines(components))

    def forward(self, descriptions: Tensor) -> Tensor:
        """Map descriptions [B, K] to [B, D]."""
        return (descriptions - self.mean) @ self.axes


def cosines(size: int) -> Tensor:
    """Return an orthogonal matrix none of whose entries is 0, [size, size] float64."""
    place = torch.arange(size, dtype=torch.float64) + 0.5
    matrix = torch.cos(math.pi / size * place[:, None] * place)  # the cosine transform IV
    return matrix * math.sqrt(2 / size)
