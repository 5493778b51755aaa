"""Runs that differ only in their seed or fold, and averages over them."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from stm_experiments.core.intervals import Interval, mean_and_interval
from stm_experiments.reporting.paper.published import LATTICES
from stm_experiments.reporting.runs import Run


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
    published = [name for name in LATTICES if name in lattices]
    return [*published, *sorted(lattices - set(published))]


def distinct(runs: Sequence[Run]) -> list[Run]:
    """Return one run of those with the same configuration, a finished one if there is one.

    What was done twice says nothing about the spread.
    """
    kept: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: not run.finished):
        kept.setdefault(_text(run.config, run), run)
    return [run for run in runs if kept[_text(run.config, run)] is run]


def group_by_seed(runs: Sequence[Run]) -> list[list[Run]]:
    """Group distinct runs that differ only in their seed or fold, in the order of the first."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in distinct(runs):
        groups[_text(_without_repeats(run.config), run)].append(run)
    return list(groups.values())


def best_group(runs: Sequence[Run]) -> tuple[list[Run], Interval]:
    """Return the group of runs that differ only in their seed with the best mean result.

    Args:
        runs: At least one run; all have a result.

    Returns:
        The group, and the mean of its results with half the 95 % interval.
    """
    groups = [
        (group, mean_and_interval([run.result or 0.0 for run in group]))
        for group in group_by_seed(runs)
    ]
    sign = -1 if runs[0].highest_is_best else 1
    return min(groups, key=lambda pair: sign * pair[1].mean)


def _text(config: object, run: Run) -> str:
    """Return a text that is equal for equal configs; overrides stand for one without a model."""
    known = config if "model" in run.config else run.about.get("overrides", [])
    return json.dumps(known, sort_keys=True, default=str)


def _without_repeats(config: object) -> object:
    """Return a config without any key "seed" or "fold"."""
    if isinstance(config, dict):
        return {k: _without_repeats(v) for k, v in config.items() if k not in ("seed", "fold")}
    return config
