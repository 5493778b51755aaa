"""The claims of the paper's sections 4.3 and 4.5, each tested on the numbers of our runs.

Two configurations are compared on the same images, see ``comparisons``. Two lattices are compared
on different images: there the 95 % intervals by image decide.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from stm_experiments.reporting.averages import score_over_seeds
from stm_experiments.reporting.paper import published
from stm_experiments.reporting.paper.comparisons import (
    SEED_CHANGE,
    Experiments,
    Finding,
    Loss,
    Test,
    converges_faster,
    does_not_overfit,
    ends_lower,
    is_below,
    is_rougher,
)
from stm_experiments.reporting.runs import Run

HELD, NOT_HELD, OPEN = "held", "not held", "not decidable"
TOO_SMALL = "Not decidable at this scale"
BEYOND_SEEDS = "beyond what seeds change"
MEASURES = {
    "mse_noisy": "MSE against noisy",
    "mse_clean": "MSE against clean",
    "ssim_clean": "SSIM against clean",
}
# Section 4.5.1 names these as best by MSE, from three patches each.
WINNERS = {"sc": "more_patches", "bcc": "extended_training", "fcc": "extended_training"}


class Statement(NamedTuple):
    """What the paper says, where, and when we call it true."""

    section: str
    text: str
    criterion: str


class Claim(NamedTuple):
    """A statement of the paper, whether it holds here, and the numbers that decide it."""

    statement: Statement
    verdict: str
    evidence: str


def paper_claims(runs: Sequence[Run]) -> list[Claim]:
    """Return every claim of sections 4.3 and 4.5 that numbers can test, with its verdict."""
    e = Experiments(runs)
    detailed = "more_patches" if e.lattices("more_patches") else "baseline"
    return [
        conclude(
            e,
            Statement(
                "4.3.2",
                "A learning rate of 1e-4 ends worse than 1e-3, on every lattice.",
                f"baseline's last validation loss is below lower_lr's, {BEYOND_SEEDS}",
            ),
            ("baseline", "lower_lr"),
            ends_lower(e, "baseline", "lower_lr"),
        ),
        conclude(
            e,
            Statement(
                "4.3.2",
                "A learning rate of 1e-4 converges significantly slower.",
                "baseline reaches lower_lr's last validation loss in less than 90 % of its epochs",
            ),
            ("baseline", "lower_lr"),
            converges_faster(e, "baseline", "lower_lr"),
        ),
        conclude(
            e,
            Statement(
                "4.3.2",
                "Small batches (256) end as low as large ones (2048), or slightly lower.",
                f"small_batch's last validation loss is not above large_batch's {BEYOND_SEEDS}",
            ),
            ("small_batch", "large_batch"),
            ends_lower(e, "small_batch", "large_batch", or_equal=True),
        ),
        conclude(
            e,
            Statement(
                "4.3.2",
                "Small batches make more volatile training curves.",
                "epoch-to-epoch scatter of the training loss, second half, 1.25 times as large or "
                "more",
            ),
            ("small_batch", "large_batch"),
            is_rougher(e, "small_batch", "large_batch", "train/loss", 0.5),
        ),
        conclude(
            e,
            Statement(
                "4.3.2",
                "Training for 200 epochs instead of 100 improves the loss further.",
                f"extended_training's last validation loss is below baseline's, {BEYOND_SEEDS}",
            ),
            ("extended_training", "baseline"),
            ends_lower(e, "extended_training", "baseline"),
        ),
        longer_training_helps_fcc(e),
        follows_complexity(
            e,
            "4.3.2",
            "Loss follows complexity: sc lowest, bcc between, fcc highest.",
            "mse_noisy",
            "baseline",
        ),
        conclude(
            e,
            Statement(
                "4.3.2",
                "Training and validation losses stay close: no significant overfitting.",
                "baseline's validation ends within 15 % of training (the paper's own largest gap "
                "is 14 %) and within 4 % of its best",
            ),
            ("baseline",),
            does_not_overfit(e, "baseline"),
        ),
        conclude(
            e,
            Statement(
                "4.3.2",
                "Learning rate decay is particularly stable.",
                "epoch-to-epoch scatter of baseline's validation loss, last third, at least 1.25 "
                "times lr_decay's (the paper's own lr_decay never decayed)",
            ),
            ("baseline", "lr_decay"),
            is_rougher(e, "baseline", "lr_decay", "val/loss", 1 / 3),
        ),
        conclude(
            e,
            Statement(
                "4.3.2",
                "Learning rate decay generalises with minimal divergence.",
                "lr_decay's validation ends within 15 % of training and within 4 % of its best",
            ),
            ("lr_decay",),
            does_not_overfit(e, "lr_decay"),
        ),
        more_patches_help(e),
        winners_are_best(e),
        follows_complexity(
            e,
            "4.5.2",
            "Over-smoothing grows from sc over bcc to fcc: more detail is lost.",
            "mse_clean",
            detailed,
        ),
        follows_complexity(
            e,
            "4.5.3",
            "Structure is preserved best in sc and worst in fcc.",
            "ssim_clean",
            detailed,
        ),
    ]


def conclude(
    experiments: Experiments, statement: Statement, names: Sequence[str], test: Test
) -> Claim:
    """Test a statement on each lattice that has the runs, and draw one conclusion.

    The statement holds if it holds on all three lattices; it does not if it fails on one. Runs that
    are missing or undecided leave it open, miniatures always do.

    Args:
        experiments: The runs.
        statement: What the paper says.
        names: The configurations that the test needs.
        test: Returns the outcome on a lattice.
    """
    lattices = experiments.lattices(*names)
    if not lattices:
        return Claim(statement, OPEN, f"No runs of {' and '.join(names)}.")
    findings = {lattice: test(lattice) for lattice in lattices}
    evidence = "; ".join(f"{lattice}: {finding.numbers}" for lattice, finding in findings.items())
    outcomes = [finding.holds for finding in findings.values()]
    absent = [lattice for lattice in published.LATTICES if lattice not in lattices]
    if absent:
        evidence += f"; no runs on {', '.join(absent)}"
    return _claim(
        statement, outcomes, evidence, complete=not absent, small=experiments.miniature(names)
    )


def _claim(
    statement: Statement,
    outcomes: Sequence[bool | None],
    evidence: str,
    *,
    complete: bool,
    small: str,
) -> Claim:
    """Draw a conclusion from outcomes.

    Args:
        statement: What the paper says.
        outcomes: True, False or None (undecided) of each comparison.
        evidence: The numbers, without a full stop.
        complete: Whether nothing is missing that could still refute the statement.
        small: Why the runs decide nothing; empty if they do.
    """
    if small:
        return Claim(statement, OPEN, f"{TOO_SMALL} ({small}): {evidence}.")
    verdict = OPEN
    if False in outcomes:
        verdict = NOT_HELD
    elif outcomes and all(outcomes) and complete:
        verdict = HELD
    return Claim(statement, verdict, f"{evidence}.")


def follows_complexity(
    experiments: Experiments, section: str, text: str, measure: str, name: str
) -> Claim:
    """Test that errors grow, or similarities fall, from sc over bcc to fcc.

    Args:
        experiments: The runs.
        section: Where the paper says so.
        text: What it says.
        measure: A key of MEASURES.
        name: The configuration.
    """
    sign = -1 if measure.startswith("ssim") else 1
    measured = f"{MEASURES[measure]} of {name}"
    direction = "grows" if sign > 0 else "falls"
    criterion = f"{measured} {direction} from sc over bcc to fcc, beyond 95 % by image"
    scores = {}
    for lattice in experiments.lattices(name):
        score = score_over_seeds(experiments.cells[lattice, name], measure)
        if not math.isnan(score.mean):
            scores[lattice] = score
    numbers = [
        f"{lattice} {score.mean:.4f}" + (f" ± {score.half:.4f}" if score.half is not None else "")
        for lattice, score in scores.items()
    ]
    evidence = f"{measured}: {', '.join(numbers) or 'no runs'}"
    complete = len(scores) == len(published.LATTICES)
    small = experiments.miniature([name])
    if not complete and not small:
        evidence += "; not all three are there"
    steps = pairwise(Loss(sign * score.mean, score.half or math.inf) for score in scores.values())
    outcomes = [is_below(low, high) for low, high in steps] if complete else []
    statement = Statement(section, text, criterion)
    return _claim(statement, outcomes, evidence, complete=complete, small=small)


def longer_training_helps_fcc(experiments: Experiments) -> Claim:
    """Test that fcc gains most from longer training."""
    statement = Statement(
        "4.3.2",
        "Longer training helps most in fcc.",
        "the relative gain of extended_training over baseline is largest in fcc, by 4 %",
    )
    names = ("extended_training", "baseline")
    gains = {}
    for lattice in experiments.lattices(*names):
        long, short = (experiments.loss(lattice, name).mean for name in names)
        gains[lattice] = 1 - long / short
    if not gains:
        return Claim(statement, OPEN, f"No runs of {' and '.join(names)}.")
    evidence = ", ".join(f"{lattice} {100 * gain:.1f} %" for lattice, gain in gains.items())
    complete = len(gains) == len(published.LATTICES)
    outcome = None
    if complete:
        lead = gains["fcc"] - max(gains["sc"], gains["bcc"])
        outcome = lead > 0 if abs(lead) > SEED_CHANGE else None
    small = experiments.miniature(names)
    return _claim(statement, [outcome], f"Gain: {evidence}", complete=complete, small=small)


def more_patches_help(experiments: Experiments) -> Claim:
    """Test that more patches are better on some lattice and worse on none."""
    statement = Statement(
        "4.3.2",
        "4900 instead of 3000 patches per image end marginally better in some cases.",
        f"below baseline {BEYOND_SEEDS} on at least one lattice, and above it on none",
    )
    names = ("more_patches", "baseline")
    test = ends_lower(experiments, *names)
    claim = conclude(experiments, statement, names, test)
    outcomes = [test(lattice).holds for lattice in experiments.lattices(*names)]
    complete = len(outcomes) == len(published.LATTICES) and not experiments.miniature(names)
    if complete and True in outcomes and False not in outcomes:
        return claim._replace(verdict=HELD)
    return claim


def winners_are_best(experiments: Experiments) -> Claim:
    """Test that the configuration that the paper names best on each lattice is best."""
    statement = Statement(
        "4.5.1",
        "Best by MSE: More Patches on sc, Extended Training on bcc and fcc.",
        f"the named configuration has the lowest last validation loss, {BEYOND_SEEDS}",
    )
    cells = experiments.cells
    findings = {x: _winner(experiments, x) for x, name in WINNERS.items() if (x, name) in cells}
    if not findings:
        return Claim(statement, OPEN, "No runs of the named configurations.")
    evidence = "; ".join(f"{lattice}: {finding.numbers}" for lattice, finding in findings.items())
    outcomes = [finding.holds for finding in findings.values()]
    complete = len(cells) >= len(published.PUBLISHED)
    small = experiments.miniature(list(published.CONFIGURATIONS))
    return _claim(statement, outcomes, evidence, complete=complete, small=small)


def _winner(experiments: Experiments, lattice: str) -> Finding:
    """Compare the configuration that the paper names best on a lattice with the best other."""
    losses = {name: experiments.loss(x, name) for x, name in experiments.cells if x == lattice}
    winner = losses.pop(WINNERS[lattice])
    second = min(losses, key=lambda name: losses[name].mean, default=None)
    if second is None:
        return Finding(None, "nothing to compare with")
    numbers = f"{WINNERS[lattice]} {winner.mean:.4f}, best other {second} {losses[second].mean:.4f}"
    return Finding(is_below(winner, losses[second]), numbers)
