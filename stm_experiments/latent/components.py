"""Principal components of codes."""

from typing import NamedTuple

import torch
from torch import Tensor


class PrincipalComponents(NamedTuple):
    """Codes on their principal axes, in descending order of variance.

    Attributes:
        points: Centred codes on the axes, [n, D] float64; 0 on axes beyond the n-th one. The sign
            of an axis is arbitrary: its largest entry is positive.
        explained: Share of the variance along each axis, [D] float64; 0 if all codes are equal.
    """

    points: Tensor
    explained: Tensor


def principal_components(codes: Tensor) -> PrincipalComponents:
    """Project codes on their principal axes.

    The result is that of scikit-learn's ``PCA``, except for the signs of the axes.

    Args:
        codes: [n, D], n >= 2.

    Raises:
        ValueError: If there are fewer than two codes, or some are not finite.
    """
    if codes.ndim != 2 or len(codes) < 2 or not torch.isfinite(codes).all():
        raise ValueError(f"expected at least two finite codes [n, D], not {list(codes.shape)}")
    centred = codes.double() - codes.double().mean(0)
    _, scales, axes = torch.linalg.svd(centred, full_matrices=False)
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    count, dimensions = codes.shape
    points = torch.zeros(count, dimensions, dtype=torch.float64)
    points[:, : len(axes)] = centred @ (axes * signs).T
    variance = torch.zeros(dimensions, dtype=torch.float64)
    variance[: len(axes)] = scales.square()
    total = variance.sum()
    return PrincipalComponents(points, variance / total if bool(total > 0) else variance)
