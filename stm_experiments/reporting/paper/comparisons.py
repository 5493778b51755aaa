"""Comparisons of the paper's configurations on one lattice, from the numbers of our runs.

Losses of two configurations are compared on the same validation images. The comparison is limited
by how far a loss moves when only the seed changes: the 95 % interval of the mean over three seeds
or more, else 4 % (the change that was measured when the paper's baseline was retrained on its
data).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.reporting.averages import mean_and_deviation
from stm_experiments.reporting.paper import published
from stm_experiments.reporting.paper.cells import runs_of_cell
from stm_experiments.reporting.runs import Curve, Run

SEED_CHANGE = 0.04  # relative, of a single run's last validation loss
OVERFITTING = 0.15  # relative; the paper's own largest gap (fcc, baseline) is 14 %


class Finding(NamedTuple):
    """The outcome on one lattice: True, False or None (undecided), and its numbers."""

    holds: bool | None
    numbers: str


class Loss(NamedTuple):
    """The last validation loss over seeds, and its uncertainty."""

    mean: float
    error: float


Test = Callable[[str], Finding]  # takes the name of a lattice


class Experiments:
    """The runs by lattice and configuration: the paper's network, one config per cell.

    Args:
        runs: All runs of a report.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.cells: dict[tuple[str, str], list[Run]] = {}
        for lattice in published.LATTICES:
            for name in published.CONFIGURATIONS:
                groups = runs_of_cell(runs, lattice, name)
                groups = [group for group in groups if group[0].network == "CAE-A"]
                if groups:
                    self.cells[lattice, name] = groups[0]

    def lattices(self, *names: str) -> list[str]:
        """Return the lattices on which all of these configurations were trained."""
        return [x for x in published.LATTICES if all((x, name) in self.cells for name in names)]

    def loss(self, lattice: str, name: str) -> Loss:
        """Return the last validation loss of a cell."""
        values = [run.metrics.get("val/loss", math.nan) for run in self.cells[lattice, name]]
        mean, deviation = mean_and_deviation(values)
        half = mean_and_interval(values).half if len(values) > 2 else None
        if half is not None and math.isfinite(mean):
            return Loss(mean, half)
        return Loss(mean, max(SEED_CHANGE * mean, deviation or 0.0))

    def curve(self, lattice: str, name: str, key: str = "val/loss") -> Curve:
        """Return a loss curve of the first run of a cell."""
        return self.cells[lattice, name][0].curves.get(key, [])

    def miniature(self, names: Sequence[str]) -> str:
        """Return why runs of these configurations are too small; empty if they are not."""
        runs = [run for (_, name), cell in self.cells.items() if name in names for run in cell]
        return next((run.miniature for run in runs if run.miniature), "")


def is_below(small: Loss, large: Loss) -> bool | None:
    """Return whether the first is below the second; None if they are closer than their errors."""
    apart = math.hypot(small.error, large.error)
    return None if not abs(large.mean - small.mean) > apart else small.mean < large.mean


def epochs_to(curve: Curve, loss: float) -> float | None:
    """Return the first epoch at which a curve is at or below a loss."""
    return next((epoch for epoch, value in curve if value <= loss), None)


def curve_roughness(curve: Curve, part: float = 0.5) -> float | None:
    """Return how far a curve jumps from epoch to epoch over its last part.

    Standard deviation of the second differences of the log loss over sqrt 6: the relative scatter
    of independent values about any straight line.
    """
    values = [math.log(value) for _, value in curve if value > 0]
    values = values[-max(4, round(len(values) * part)) :]
    if len(values) < 4:
        return None
    triples = zip(values, values[1:], values[2:], strict=False)
    bends = [(a - 2 * b + c) ** 2 for a, b, c in triples]
    return math.sqrt(math.fsum(bends) / len(bends) / 6)


def validation_gap(run: Run) -> float | None:
    """Return the last validation loss over the last training loss, minus 1."""
    validation, training = run.metrics.get("val/loss"), run.metrics.get("train/loss")
    return validation / training - 1 if validation and training else None


def ends_lower(
    experiments: Experiments, better: str, worse: str, *, or_equal: bool = False
) -> Test:
    """Return a test that one configuration ends lower than another, or not higher."""

    def test(lattice: str) -> Finding:
        low, high = experiments.loss(lattice, better), experiments.loss(lattice, worse)
        holds = is_below(low, high)
        if or_equal and holds is None and math.isfinite(low.mean + high.mean):
            holds = True
        apart = 100 * math.hypot(low.error, high.error) / high.mean
        numbers = (
            f"{better} {low.mean:.4f}, {worse} {high.mean:.4f}: "
            f"{100 * (low.mean / high.mean - 1):+.1f} %, where seeds alone change {apart:.1f} %"
        )
        return Finding(holds, numbers)

    return test


def converges_faster(experiments: Experiments, fast: str, slow: str) -> Test:
    """Return a test that one configuration reaches another's last loss in fewer epochs."""

    def test(lattice: str) -> Finding:
        curve = experiments.curve(lattice, slow)
        if not curve:
            return Finding(None, "no loss curves")
        last, goal = curve[-1]
        epoch = epochs_to(experiments.curve(lattice, fast), goal)
        if epoch is None:
            return Finding(False, f"{fast} never reaches {goal:.4f}, where {slow} ends")
        numbers = f"{slow} needs {last:.0f} epochs to {goal:.4f}, {fast} {epoch:.0f}"
        return Finding(epoch < 0.9 * last, numbers)

    return test


def is_rougher(experiments: Experiments, rough: str, smooth: str, key: str, part: float) -> Test:
    """Return a test that one configuration's curve jumps at least 1.25 times as far as another's.

    Args:
        experiments: The runs.
        rough: The configuration whose curve is to jump farther.
        smooth: The other configuration.
        key: The curve, "train/loss" or "val/loss".
        part: The last part of the curve that is compared.
    """

    def test(lattice: str) -> Finding:
        high = curve_roughness(experiments.curve(lattice, rough, key), part)
        low = curve_roughness(experiments.curve(lattice, smooth, key), part)
        if high is None or low is None:
            return Finding(None, "too few epochs")
        numbers = f"{rough} {100 * high:.2f} %, {smooth} {100 * low:.2f} %"
        if low > 0 and 0.8 < high / low < 1.25:
            return Finding(None, numbers)
        return Finding(high > low, numbers)

    return test


def does_not_overfit(experiments: Experiments, name: str) -> Test:
    """Return a test that validation ends within 15 % of training and near its best."""

    def test(lattice: str) -> Finding:
        run = experiments.cells[lattice, name][0]
        gap, best = validation_gap(run), run.metrics.get("val/best_loss")
        if gap is None or not best:
            return Finding(None, "no losses")
        rise = run.metrics["val/loss"] / best - 1
        numbers = f"{name}: validation {100 * gap:+.1f} % from training"
        numbers += f", {100 * rise:.1f} % above its best"
        return Finding(abs(gap) <= OVERFITTING and rise <= SEED_CHANGE, numbers)

    return test
