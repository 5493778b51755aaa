"""Coordinates of images on the graph of their nearest neighbours."""

import torch
from torch import Tensor, nn

from stm_experiments.models.codes.whitening import cosines

MOST = 1000  # images of the graph
NEIGHBOURS = 6  # of an image in the graph
NEAREST = 5  # images of the graph whose coordinates give those of another image
SOFT = 1e-3  # eigenvalue at which a coordinate has half the size of one of eigenvalue zero
TINY = 1e-12


class Eigenmap(nn.Module):
    """Maps descriptions of images to Laplacian eigenmap coordinates of mean square 1.

    Images of one crystal differ in how it is cut and turned: they fill a surface of several
    dimensions among all descriptions, which is curved. Straight lines between two points of it may
    cross the surface of another crystal, so principal components do not part them. The graph of
    nearest neighbours follows each surface and has few edges between two of them. The eigenvectors
    of its Laplacian with the smallest eigenvalues are nearly constant on each surface (Belkin &
    Niyogi, Neural Computation 15, 1373, 2003). An edge's weight is exp(-d^2 / (s t)), where s and t
    are the distances of its two images from their sixth neighbours (Zelnik-Manor & Perona,
    NIPS 2004).

    A coordinate is an eigenvector over its eigenvalue, so that crystals differ by more than the
    cuts of one of them. Then an orthogonal matrix (a cosine transform) mixes all of them. The
    coordinates of another image are the mean of those of the five images next to it.

    Args:
        length: Numbers of a description, K.
        coordinates: Coordinates, D.
    """

    descriptions: Tensor
    coordinates: Tensor
    count: Tensor

    def __init__(self, length: int, coordinates: int) -> None:
        super().__init__()
        self.register_buffer("descriptions", torch.zeros(MOST, length))
        self.register_buffer("coordinates", torch.zeros(MOST, coordinates))
        self.register_buffer("count", torch.tensor(0))

    @property
    def is_fitted(self) -> bool:
        """Whether the map has been fitted, here or in the run whose weights were loaded."""
        return bool(self.count)

    def fit(self, descriptions: Tensor) -> None:
        """Build the graph of the first 1000 of the descriptions [N, K].

        Raises:
            ValueError: If there are too few images, or too few that differ.
        """
        points = descriptions[:MOST].double()
        count, size = len(points), self.coordinates.shape[1]
        least = max(size + 1, NEIGHBOURS) + 1
        if count < least or len(points.unique(dim=0)) < least:
            raise ValueError(
                f"{count} images are too few for {size} coordinates of at least {least} different "
                "images: give more images (data.images_per_epoch), or a shorter code "
                "(model.net.latent)"
            )
        coordinates = _eigenvectors(_weights(points), size) @ cosines(size)
        self.descriptions[:count] = points
        self.coordinates[:count] = coordinates / coordinates.square().mean().sqrt()
        self.count.fill_(count)

    def forward(self, descriptions: Tensor) -> Tensor:
        """Map descriptions [B, K] to [B, D]."""
        count = int(self.count)
        distances = torch.cdist(descriptions, self.descriptions[:count])
        nearest = distances.topk(min(NEAREST, count), largest=False).indices
        mapped: Tensor = self.coordinates[nearest].mean(1)
        return mapped


def _weights(points: Tensor) -> Tensor:
    """Return the weights of the edges between points [N, K], [N, N]."""
    distances = torch.cdist(points, points)
    distances.fill_diagonal_(torch.inf)
    near, neighbours = distances.topk(NEIGHBOURS, largest=False)
    joined = torch.zeros_like(distances).scatter_(1, neighbours, 1.0)
    sizes = near[:, -1].clamp(min=TINY)
    weights = (-distances.square() / (sizes[:, None] * sizes)).exp()
    return weights * torch.maximum(joined, joined.T)


def _eigenvectors(weights: Tensor, size: int) -> Tensor:
    """Return eigenvectors of the Laplacian over their eigenvalues, without the constant, [N, D]."""
    degrees = weights.sum(1).clamp(min=TINY)
    root = degrees.sqrt()
    constant = root / root.norm()
    affinity = weights / (root[:, None] * root) - constant[:, None] * constant
    values, vectors = torch.linalg.eigh(affinity)
    values, vectors = values.flip(0)[:size], vectors.flip(1)[:, :size] / root[:, None]
    signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    vectors = vectors * signs / vectors.std(0).clamp(min=TINY)
    scaled: Tensor = vectors / (1 - values).clamp(min=0).add(SOFT)
    return scaled
