"""The paper's Table 2 beside the same statistic of our runs, and what its order means."""

import math
from collections.abc import Sequence

from stm_experiments.reporting.averages import (
    mean_and_deviation,
    metric_over_seeds,
    score_over_seeds,
)
from stm_experiments.reporting.paper import published
from stm_experiments.reporting.paper.cells import runs_of_cell
from stm_experiments.reporting.result_table import NO_RUN, Cell, ResultTable, embolden, number
from stm_experiments.reporting.runs import Run


def errors_table(runs: Sequence[Run]) -> ResultTable:
    """Return the paper's Table 2, its statistic of our runs, and our means over all patches."""
    groups = (
        ("", 2),
        ("paper, three training patches", 2),
        ("paper", 1),
        ("ours, three training patches: mean (5\N{EN DASH}95 %)", 2),
        ("ours, all held-out patches ± 95 % by image", 2),
        ("ours", 2),
    )
    columns = (
        *("lattice", "configuration", "MSE", "SSIM", "val. loss"),
        *("MSE", "SSIM", "MSE", "SSIM", "val. loss", "runs"),
    )
    table = ResultTable("table2", columns, [], groups)
    for lattice in published.LATTICES:
        rows = []
        for name, settings in published.CONFIGURATIONS.items():
            for place, group in enumerate(runs_of_cell(runs, lattice, name) or [[]]):
                title = settings.title
                if place:
                    title += f" ({group[0].network}, run {group[0].job_number})"
                cells = [*_published_cells(lattice, name), *_measured_cells(group)]
                rows.append([Cell(lattice), Cell(title), *cells])
        for column in (2, 4, 5, 7, 9):
            embolden(rows, column, smallest=True)
        for column in (3, 6, 8):
            embolden(rows, column, smallest=False)
        table.rows.extend(rows)
    return table


def _published_cells(lattice: str, configuration: str) -> list[Cell]:
    """Return the paper's MSE, SSIM and validation loss."""
    row = published.PUBLISHED.get((lattice, configuration))
    if row is None:
        return [number(None, note="not in the paper: in its code the rate never fell")] * 3
    return [number(value) for value in (row.mse, row.ssim, row.val_loss)]


def _measured_cells(group: Sequence[Run]) -> list[Cell]:
    """Return our statistic of three patches, our means, the validation loss and the runs."""
    cells = [three_patches_cell(group, name) for name in ("mse", "ssim")]
    for name in ("mse_noisy", "ssim_paper"):
        score = score_over_seeds(group, name)
        cells.append(number(score.mean, 4, score.half, NO_RUN))
    cells.append(number(metric_over_seeds(group, "val/loss"), note=NO_RUN))
    return [*cells, Cell(str(len(group)), len(group))]


def three_patches_cell(group: Sequence[Run], name: str) -> Cell:
    """Return the paper's statistic of our runs, averaged over seeds, with the range of its draws.

    Args:
        group: Runs that differ only in their seed.
        name: "mse" or "ssim".
    """
    statistics = [run.three_patches[name] for run in group if name in run.three_patches]
    if not statistics:
        return number(None, note="the run has no three_patches.json" if group else NO_RUN)
    mean, low, high = (
        mean_and_deviation([statistic[key] for statistic in statistics]).mean
        for key in ("mean", "p05", "p95")
    )
    if not math.isfinite(mean):
        return number(None, note="three_patches.json holds no number")
    return Cell(f"{mean:.4f} ({low:.4f}\N{EN DASH}{high:.4f})", mean, low=low, high=high)


def rank_published(runs: Sequence[Run]) -> list[str]:
    """Return a sentence per lattice on how little the published ranking means."""
    return [_rank_on(runs, lattice) for lattice in published.LATTICES]


def _rank_on(runs: Sequence[Run], lattice: str) -> str:
    """Compare the range of the published MSEs with that of draws of three patches of one model."""
    errors = [row.mse for (name, _), row in published.PUBLISHED.items() if name == lattice]
    low, high = min(errors), max(errors)
    text = f"{lattice}: the paper's {len(errors)} MSEs span {low:.4f} to {high:.4f}"
    groups = [
        group
        for name in published.CONFIGURATIONS
        for group in runs_of_cell(runs, lattice, name)[:1]
    ]
    run = next((group[0] for group in groups if "mse" in group[0].three_patches), None)
    if run is None:
        return f"{text}; no run of ours tells how far three patches scatter."
    draws = run.three_patches["mse"]
    inside = sum(draws["p05"] <= mse <= draws["p95"] for mse in errors)
    return (
        f"{text}; other draws of three patches give one and the same model of ours "
        f"({run.configuration}) anything from {draws['p05']:.4f} to {draws['p95']:.4f} in 90 % of "
        f"draws, a range {(draws['p95'] - draws['p05']) / (high - low):.0%} as wide as the whole "
        f"published column, with {inside} of its {len(errors)} values inside."
    )
