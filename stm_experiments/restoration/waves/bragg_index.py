"""Which peaks of a spectrum belong to one crystal: sums of a few of its wave vectors."""

import math
from itertools import combinations

import torch
from torch import Tensor

_TOLERANCE = 0.3  # furthest of a peak from a sum, frequency steps
_ORDERS = ((4, 4), (4, 4, 3), (4, 4, 3, 2))  # largest multiples of each vector
_STRONGEST = 8  # peaks of which the first two vectors are taken
_MORE = 10  # strongest unexplained peaks of which a further vector is taken
_FEWEST = 4  # peaks that two vectors explain, those two included
_LEAST_AREA = 9.0  # of the cell of two vectors, square steps
_FURTHER = 3  # least number of other peaks that a further vector explains


def indexed_peaks(steps: Tensor) -> Tensor:
    """Find the peaks that are whole-number combinations of a few of them.

    Two vectors span the spectrum of a surface, three that of a plane cut through a crystal, and
    satellites need one more. A wave of an instrument is no such combination, save by chance.

    Args:
        steps: Frequencies along axes 0 and 1 in frequency steps, the strongest peak first, [P, 2].

    Returns:
        [P] bool; False everywhere if no two peaks explain others.
    """
    pairs = [steps[[i, j]] for i, j in combinations(range(min(len(steps), _STRONGEST)), 2)]
    pairs = [pair for pair in pairs if abs(float(torch.linalg.det(pair))) > _LEAST_AREA]
    vectors = max(pairs, key=lambda pair: int(_explained(steps, pair).sum()), default=steps[:0])
    if len(vectors) < 2 or int(_explained(steps, vectors).sum()) < _FEWEST:
        return torch.zeros(len(steps), dtype=torch.bool)
    vectors = _refined(steps, vectors)
    while len(vectors) < len(_ORDERS) + 1:
        found = _explained(steps, vectors)
        trials = [
            torch.cat([vectors, steps[number : number + 1]])
            for number in (~found).nonzero()[:_MORE, 0].tolist()
        ]
        further = [int((_explained(steps, trial) & ~found).sum()) - 1 for trial in trials]
        if max(further, default=0) < max(_FURTHER, _chance(steps, found, len(vectors) + 1)):
            break
        vectors = _refined(steps, trials[further.index(max(further))])
    return _explained(steps, vectors)


def _sums(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return multiples [N, K] of K vectors and their sums [N, 2]."""
    multiples = torch.cartesian_prod(
        *(torch.arange(-most, most + 1, dtype=vectors.dtype) for most in _ORDERS[len(vectors) - 2])
    )
    return multiples, multiples @ vectors


def _explained(steps: Tensor, vectors: Tensor) -> Tensor:
    """Return which peaks lie at a sum, [P] bool."""
    return torch.cdist(steps, _sums(vectors)[1]).amin(1) < _TOLERANCE


def _refined(steps: Tensor, vectors: Tensor) -> Tensor:
    """Fit vectors to the peaks that they explain, by least squares."""
    multiples, sums = _sums(vectors)
    distance, nearest = torch.cdist(steps, sums).min(1)
    near = distance < _TOLERANCE
    fitted: Tensor = torch.linalg.lstsq(multiples[nearest[near]], steps[near]).solution
    return fitted


def _chance(steps: Tensor, found: Tensor, count: int) -> float:
    """Return how many of the other peaks lie at sums of so many vectors by chance, at most.

    Half of the sums have another one beside them, or lie beyond the furthest peak.
    """
    sums = math.prod(2 * most + 1 for most in _ORDERS[count - 2])
    share = min(1.0, sums * (_TOLERANCE / float(steps.norm(dim=1).max())) ** 2)
    mean = 0.5 * share * int((~found).sum())
    return mean + 2 * math.sqrt(mean)
