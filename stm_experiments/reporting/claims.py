"""The claims of the paper's sections 4.3 and 4.5, each tested on the numbers of our runs.

Losses of two configurations are compared on the same validation images; what limits the comparison
is how far a loss moves when only the seed changes: the 95 % interval of the mean over three seeds
or more, else 4 % (the spread that was found when the paper's baseline was retrained on its data).
Two lattices are compared on different images: there the 95 % intervals by image decide.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from stm_experiments.core.intervals import student
from stm_experiments.reporting import paper
from stm_experiments.reporting.runs import Curve, Run
from stm_experiments.reporting.summary import average, mean_and_spread, runs_of

HELD, NOT_HELD, OPEN = "held", "not held", "not decidable"
TOO_SMALL = "Not decidable at this scale"
SEED_SPREAD = 0.04  # relative, of a single run's last validation loss
TRACKING = 0.15  # relative: the paper's own largest gap (fcc, baseline) is 14 %


MEASURES = {
    "mse_noisy": "MSE against noisy",
    "mse_clean": "MSE against clean",
    "ssim_clean": "SSIM against clean",
}


class Claim(NamedTuple):
    """What the paper says, whether it holds here, and the numbers that decide it."""

    section: str
    statement: str
    criterion: str
    verdict: str
    evidence: str


class Finding(NamedTuple):
    """One lattice's part: True, False or None (undecided), and its numbers."""

    holds: bool | None
    numbers: str


class Loss(NamedTuple):
    """Last validation loss over seeds, and how far it is uncertain."""

    mean: float
    error: float


class Experiments:
    """The runs by lattice and configuration: the paper's network, one config per cell."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.cells: dict[tuple[str, str], list[Run]] = {}
        for lattice in paper.LATTICES:
            for name in paper.CONFIGURATIONS:
                groups = [g for g in runs_of(runs, lattice, name) if g[0].network == "CAE-A"]
                if groups:
                    self.cells[lattice, name] = groups[0]

    def lattices(self, *names: str) -> list[str]:
        """Lattices that were trained in all of these configurations."""
        return [x for x in paper.LATTICES if all((x, name) in self.cells for name in names)]

    def loss(self, lattice: str, name: str) -> Loss:
        """The last validation loss of a cell."""
        values = [run.metrics.get("val/loss", math.nan) for run in self.cells[lattice, name]]
        mean, spread = mean_and_spread(values)
        assert mean is not None
        if spread is not None and len(values) > 2:
            return Loss(mean, student(len(values)) * spread / math.sqrt(len(values)))
        return Loss(mean, max(SEED_SPREAD * mean, spread or 0.0))

    def curve(self, lattice: str, name: str, key: str = "val/loss") -> Curve:
        """A loss curve of the first run of a cell."""
        return self.cells[lattice, name][0].curves.get(key, [])

    def miniature(self, names: Sequence[str]) -> str:
        """Why runs of these configurations decide nothing; empty if they are whole."""
        runs = [run for (_, name), cell in self.cells.items() if name in names for run in cell]
        return next((run.miniature for run in runs if run.miniature), "")


def conclude(
    experiments: Experiments,
    section: str,
    statement: str,
    criterion: str,
    names: Sequence[str],
    test: Callable[[str], Finding],
) -> Claim:
    """Tests a claim on each lattice that has the runs, and draws one conclusion.

    It holds if it holds on every lattice that was trained, all three; it does not if it fails on
    one. Runs that are missing or undecided leave it open, miniatures always do.
    """
    lattices = experiments.lattices(*names)
    if not lattices:
        return Claim(section, statement, criterion, OPEN, f"No runs of {' and '.join(names)}.")
    findings = {lattice: test(lattice) for lattice in lattices}
    evidence = "; ".join(f"{lattice}: {found.numbers}" for lattice, found in findings.items())
    verdicts = [found.holds for found in findings.values()]
    absent = [lattice for lattice in paper.LATTICES if lattice not in lattices]
    if absent:
        evidence += f"; no runs on {', '.join(absent)}"
    small = experiments.miniature(names)
    if small:
        return Claim(section, statement, criterion, OPEN, f"{TOO_SMALL} ({small}): {evidence}.")
    verdict = OPEN
    if False in verdicts:
        verdict = NOT_HELD
    elif all(verdicts) and not absent:
        verdict = HELD
    return Claim(section, statement, criterion, verdict, f"{evidence}.")


def ordered(small: Loss, large: Loss) -> bool | None:
    """Whether the first is below the second; None if the two are closer than their errors."""
    apart = math.hypot(small.error, large.error)
    return None if not abs(large.mean - small.mean) > apart else small.mean < large.mean


def epochs_to(curve: Curve, loss: float) -> float | None:
    """The first epoch at which a curve is at or below a loss."""
    return next((epoch for epoch, value in curve if value <= loss), None)


def roughness(curve: Curve, part: float = 0.5) -> float | None:
    """How far a curve jumps from epoch to epoch over its last part.

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


def gap(run: Run) -> float | None:
    """Last validation loss over the last training loss, minus 1."""
    validation, training = run.metrics.get("val/loss"), run.metrics.get("train/loss")
    return validation / training - 1 if validation and training else None


def compare(
    experiments: Experiments, better: str, worse: str, also_equal: bool = False
) -> Callable[[str], Finding]:
    """Tests that one configuration ends lower than another; or that it does not end higher."""

    def test(lattice: str) -> Finding:
        low, high = experiments.loss(lattice, better), experiments.loss(lattice, worse)
        holds = ordered(low, high)
        if also_equal and holds is None and math.isfinite(low.mean + high.mean):
            holds = True
        apart = 100 * math.hypot(low.error, high.error) / high.mean
        numbers = (
            f"{better} {low.mean:.4f}, {worse} {high.mean:.4f}: "
            f"{100 * (low.mean / high.mean - 1):+.1f} %, where seeds alone move {apart:.1f} %"
        )
        return Finding(holds, numbers)

    return test


def slower(experiments: Experiments) -> Callable[[str], Finding]:
    """Tests that the baseline reaches what the lower rate ends with in fewer epochs."""

    def test(lattice: str) -> Finding:
        slow = experiments.curve(lattice, "lower_lr")
        if not slow:
            return Finding(None, "no loss curves")
        goal, last = slow[-1][1], slow[-1][0]
        epoch = epochs_to(experiments.curve(lattice, "baseline"), goal)
        if epoch is None:
            return Finding(False, f"baseline never reaches {goal:.4f}, where lower_lr ends")
        numbers = f"lower_lr needs {last:.0f} epochs to {goal:.4f}, baseline {epoch:.0f}"
        return Finding(epoch < 0.9 * last, numbers)

    return test


def rougher(
    experiments: Experiments, rough: str, smooth: str, key: str, part: float
) -> Callable[[str], Finding]:
    """Tests that one configuration's curve jumps at least 1.25 times as far as another's."""

    def test(lattice: str) -> Finding:
        pair = [roughness(experiments.curve(lattice, name, key), part) for name in (rough, smooth)]
        if pair[0] is None or pair[1] is None:
            return Finding(None, "too few epochs")
        numbers = f"{rough} {100 * pair[0]:.2f} %, {smooth} {100 * pair[1]:.2f} %"
        if pair[1] > 0 and 0.8 < pair[0] / pair[1] < 1.25:
            return Finding(None, numbers)
        return Finding(pair[0] > pair[1], numbers)

    return test


def tracks(experiments: Experiments, name: str) -> Callable[[str], Finding]:
    """Tests that validation ends within 15 % of training and has not risen from its best."""

    def test(lattice: str) -> Finding:
        run = experiments.cells[lattice, name][0]
        distance, best = gap(run), run.metrics.get("val/best_loss")
        if distance is None or not best:
            return Finding(None, "no losses")
        rise = run.metrics["val/loss"] / best - 1
        numbers = f"{name}: validation {100 * distance:+.1f} % from training"
        numbers += f", {100 * rise:.1f} % above its best"
        return Finding(abs(distance) <= TRACKING and rise <= SEED_SPREAD, numbers)

    return test


def grows(
    experiments: Experiments, section: str, statement: str, measure: str, name: str, sign: int
) -> Claim:
    """Tests that a measure grows (sign 1) or falls (-1) from sc over bcc to fcc."""
    direction = "grows" if sign > 0 else "falls"
    what = f"{MEASURES[measure]} of {name}"
    criterion = f"{what} {direction} from sc over bcc to fcc, beyond 95 % by image"
    lattices = experiments.lattices(name)
    values = {x: average(experiments.cells[x, name], measure) for x in lattices}
    known = [(lattice, mean, half) for lattice, (mean, half) in values.items() if mean is not None]
    shown = [
        f"{lattice} {mean:.4f}" + (f" ± {half:.4f}" if half is not None else "")
        for lattice, mean, half in known
    ]
    evidence = f"{what}: {', '.join(shown) or 'no runs'}"
    small = experiments.miniature([name])
    if small:
        return Claim(section, statement, criterion, OPEN, f"{TOO_SMALL} ({small}): {evidence}.")
    if len(known) < len(paper.LATTICES):
        return Claim(section, statement, criterion, OPEN, f"{evidence}; not all three are there.")
    steps = [
        ordered(Loss(sign * a[1], a[2] or math.inf), Loss(sign * b[1], b[2] or math.inf))
        for a, b in pairwise(known)
    ]
    verdict = NOT_HELD if False in steps else HELD if all(steps) else OPEN
    return Claim(section, statement, criterion, verdict, f"{evidence}.")
