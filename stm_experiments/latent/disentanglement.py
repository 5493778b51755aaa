"""Whether each number of a code tells one factor of its own: the mutual information gap.

For a factor v the gap is the mutual information of v with the number of the code that tells most
about it, less that with the second best number, over the entropy of v (Chen et al., Isolating
sources of disentanglement in variational autoencoders, NeurIPS 2018): 1, one number tells all and
the others nothing; 0, two numbers tell as much.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from stm_experiments.core.arrays import Array, Labels

BINS = 20  # of equal counts, into which numbers and factors are sorted


def information_gaps(codes: Tensor, factors: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the mutual information gap of each factor.

    Args:
        codes: Codes of patches, [n, D], of at least two numbers.
        factors: The factor of each patch by its name, [n]; classes if of whole numbers, else
            sorted into bins; patches whose factor is NaN are left out. A factor that does not vary
            is left out.
    """
    gaps = {}
    for name, factor in factors.items():
        known = ~factor.isnan() if factor.is_floating_point() else torch.ones_like(factor).bool()
        values = factor[known].numpy()
        if len(np.unique(values)) < 2:
            continue
        classes = binned(values) if factor.is_floating_point() else _numbered(values)
        shares = np.bincount(classes) / len(classes)
        entropy = -float(np.sum(shares[shares > 0] * np.log(shares[shares > 0])))
        told = sorted(
            mutual_information(binned(column), classes)
            for column in codes[known].double().numpy().T
        )
        gaps[name] = (told[-1] - told[-2]) / entropy
    return gaps


def binned(values: Array) -> Labels:
    """Sort numbers [n] into bins of equal counts; equal numbers share a bin."""
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
    labels: Labels = np.searchsorted(edges, values, side="right").astype(np.int64)
    return labels


def mutual_information(first: Labels, second: Labels) -> float:
    """Return the mutual information of two classes [n], from their counts, nats."""
    counts = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(counts, (first, second), 1)
    joint = counts / counts.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float(np.sum(joint[seen] * np.log(joint[seen] / independent[seen])))


def _numbered(values: Array) -> Labels:
    """Number classes from 0."""
    labels: Labels = np.unique(values, return_inverse=True)[1].astype(np.int64)
    return labels
