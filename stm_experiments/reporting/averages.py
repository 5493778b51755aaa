"""Averages over runs that differ only in their seed, and the cells of the paper's experiment."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from stm_experiments.core.intervals import Interval
from stm_experiments.reporting import paper
from stm_experiments.reporting.runs import Run, group_by_seed


class Average(NamedTuple):
    """A mean and a standard deviation (n - 1).

    Attributes:
        mean: NaN of no values.
        deviation: None of fewer than two values.
    """

    mean: float
    deviation: float | None


def mean_and_deviation(values: Sequence[float]) -> Average:
    """Return the mean and the standard deviation of values."""
    if not values:
        return Average(math.nan, None)
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Average(mean, None)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Average(mean, math.sqrt(squares / (len(values) - 1)))


def score_over_seeds(runs: Sequence[Run], name: str) -> Interval:
    """Return the mean of a measure over seeds, and half the mean 95 % interval by image."""
    scores = [score for run in runs if (score := run.score(name))]
    halves = [score.half for score in scores if score.half is not None]
    mean = mean_and_deviation([score.mean for score in scores]).mean
    return Interval(mean, mean_and_deviation(halves).mean if halves else None)


def metric_over_seeds(runs: Sequence[Run], key: str) -> float:
    """Return the mean over seeds of a number of metrics.json; NaN if no run has it."""
    return mean_and_deviation([run.metrics[key] for run in runs if key in run.metrics]).mean


def sort_lattices(lattices: set[str]) -> list[str]:
    """Sort lattices: the paper's first, in its order, then the others by name."""
    published = [name for name in paper.LATTICES if name in lattices]
    return [*published, *sorted(lattices - set(published))]


def runs_of_cell(runs: Sequence[Run], lattice: str, configuration: str) -> list[list[Run]]:
    """Return the finished runs of one cell of the paper's table, grouped by seed.

    There is more than one group if not only seeds differ; groups of the paper's own network come
    first.
    """
    cell = [
        run
        for run in runs
        if run.finished and run.lattice == lattice and run.configuration == configuration
    ]
    return sorted(group_by_seed(cell), key=lambda group: group[0].network != "CAE-A")
