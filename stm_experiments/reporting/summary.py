"""The tables of a report, from its runs."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from stm_experiments.reporting import paper
from stm_experiments.reporting.averages import (
    mean_and_deviation,
    metric_over_seeds,
    runs_of_cell,
    score_over_seeds,
    sort_lattices,
)
from stm_experiments.reporting.result_table import Cell, ResultTable, embolden, number
from stm_experiments.reporting.runs import Run, group_by_seed

NO_RUN = "no finished run"


class Column(NamedTuple):
    """A column of numbers.

    Attributes:
        heading: What stands above it.
        key: Where the number is read.
        digits: Decimal places.
        smallest_is_best: None: nothing is best.
    """

    heading: str
    key: str
    digits: int
    smallest_is_best: bool | None


BASELINE_COLUMNS = (
    Column("MSE against noisy", "mse_noisy", 5, True),
    Column("MSE against clean", "mse_clean", 5, True),
    Column("PSNR against clean, dB", "psnr_clean", 2, False),
    Column("SSIM against noisy", "ssim_noisy", 4, False),
    Column("SSIM against clean", "ssim_clean", 4, False),
)
CODE_COLUMNS = (  # keys of latent.json
    Column("probe, one patch", "single/probe", 3, False),
    Column("probe, labels of 3 images", "single/probe_3_images", 3, False),
    Column("nearest codes, one patch", "single/knn", 3, False),
    Column("k-means ARI, one patch", "single/ari", 3, False),
    Column("probe, pooled", "pooled/probe", 3, False),
    Column("nearest codes, pooled", "pooled/knn", 3, False),
    Column("k-means ARI, pooled", "pooled/ari", 3, False),
    Column("R² of the tilt, pooled", "pooled/r2_tilt", 3, False),
    Column("change by a shift of 1 px", "invariance/shift_1", 3, True),
    Column("change by quarter turns", "invariance/turns", 3, True),
    Column("chance level", "chance", 3, None),
)
SITE_COLUMNS = (  # keys of metrics.json
    Column("ARI of site types", "sites/ari", 3, False),
    Column("angle error (°)", "sites/angle_error", 1, True),
    Column("variance under turns", "sites/turned", 3, True),
    Column("defects (AUROC)", "sites/auroc", 3, False),
    Column("vacancies", "sites/auroc_vacancy", 3, False),
    Column("half a column", "sites/auroc_part_of_a_vacancy", 3, False),
    Column("substitutions", "sites/auroc_substitution", 3, False),
    Column("adatoms", "sites/auroc_adatom", 3, False),
)


def _embolden_columns(rows: Sequence[list[Cell]], columns: Sequence[Column]) -> None:
    """Mark the best numbers of the last columns of some rows."""
    for place, column in enumerate(columns, -len(columns)):
        if column.smallest_is_best is not None:
            embolden(rows, place, smallest=column.smallest_is_best)


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
    for lattice in paper.LATTICES:
        rows = []
        for name, settings in paper.CONFIGURATIONS.items():
            for place, group in enumerate(runs_of_cell(runs, lattice, name) or [[]]):
                title = settings.title
                if place:
                    title += f" ({group[0].network}: {group[0].label})"
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
    published = paper.PUBLISHED.get((lattice, configuration))
    if published is None:
        return [number(None, note="not in the paper: in its code the rate never fell")] * 3
    return [number(value) for value in (published.mse, published.ssim, published.val_loss)]


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
    return [_rank_on(runs, lattice) for lattice in paper.LATTICES]


def _rank_on(runs: Sequence[Run], lattice: str) -> str:
    """Compare the range of the published MSEs with that of draws of three patches of one model."""
    published = [row.mse for (name, _), row in paper.PUBLISHED.items() if name == lattice]
    low, high = min(published), max(published)
    text = f"{lattice}: the paper's {len(published)} MSEs span {low:.4f} to {high:.4f}"
    groups = [
        group for name in paper.CONFIGURATIONS for group in runs_of_cell(runs, lattice, name)[:1]
    ]
    run = next((group[0] for group in groups if "mse" in group[0].three_patches), None)
    if run is None:
        return f"{text}; no run of ours tells how far three patches scatter."
    draws = run.three_patches["mse"]
    inside = sum(draws["p05"] <= mse <= draws["p95"] for mse in published)
    return (
        f"{text}; other draws of three patches give one and the same model of ours ({run.label}) "
        f"anything from {draws['p05']:.4f} to {draws['p95']:.4f} in 90 % of draws, a range "
        f"{(draws['p95'] - draws['p05']) / (high - low):.0%} as wide as the whole published "
        f"column, with {inside} of its {len(published)} values inside."
    )


def baselines_table(runs: Sequence[Run]) -> ResultTable:
    """Return our best network per lattice, the linear baselines, the noisy input and the floor."""
    headings = ("lattice", "what", *(column.heading for column in BASELINE_COLUMNS))
    table = ResultTable("baselines", headings, [])
    finished = [run for run in runs if run.finished]
    for lattice in sort_lattices({run.lattice for run in finished}):
        table.rows.extend(_baseline_rows(lattice, [r for r in finished if r.lattice == lattice]))
    return table


def _baseline_rows(lattice: str, runs: Sequence[Run]) -> list[list[Cell]]:
    """Return the rows of one lattice."""
    rows = []
    for network in dict.fromkeys(run.network for run in runs):
        of_network = [run for run in runs if run.network == network]
        best = min(of_network, key=_error)
        what = f"{network}, best of {len(of_network)}: {best.label}"
        rows.append([Cell(lattice), Cell(what), *_score_cells(best, "")])
    reference = next((run for run in runs if run.configuration == "baseline"), runs[0])
    names = [key.split("/")[1] for key in reference.metrics if key.startswith("baselines/")]
    for baseline in dict.fromkeys(names):
        rows.append([Cell(lattice), Cell(baseline), *_score_cells(reference, baseline)])
    # Against the noisy image the noisy input itself is perfect and does not compete.
    competitors = [row for row in rows if row[1].text != "noisy input"]
    for place, column in enumerate(BASELINE_COLUMNS, 2):
        competing = rows if column.key.endswith("clean") else competitors
        embolden(competing, place, smallest=bool(column.smallest_is_best))
    floor = number(reference.metrics.get("floor/mse_clean"), 5)
    blank = number(None)
    return [*rows, [Cell(lattice), Cell("floor (8 parameters)"), blank, floor, *[blank] * 3]]


def _error(run: Run) -> float:
    """Return the error by which the best run is chosen; infinite if there is none."""
    score = run.score("mse_noisy")
    return score.mean if score else math.inf


def _score_cells(run: Run, baseline: str) -> list[Cell]:
    """Return the cells of BASELINE_COLUMNS for a run's network or one of its baselines."""
    cells = []
    for column in BASELINE_COLUMNS:
        score = run.score(column.key, baseline)
        cells.append(
            number(score.mean, column.digits, score.half) if score else number(None, note="unknown")
        )
    return cells


def times_table(runs: Sequence[Run]) -> ResultTable:
    """Return the training time and speed of each run, compared with the paper's T4."""
    headings = (
        *("run", "lattice", "configuration", "network", "parameters", "device", "epochs"),
        *("our training, s", "our patches/s", "paper's training (T4), s", "paper's patches/s"),
        "our speed / theirs",
    )
    rows = [_time_row(run) for run in runs if run.finished]
    return ResultTable("times", headings, rows)


def _time_row(run: Run) -> list[Cell]:
    """Return the row of a run in the table of times."""
    configuration = run.configuration or ""
    published = paper.PUBLISHED.get((run.lattice, configuration))
    speed = run.about.get("patches_per_second")
    published_speed = paper.published_speed(run.lattice, configuration)
    ratio = speed / published_speed if speed and published_speed else None
    return [
        Cell(str(run.job_number), run.job_number),
        Cell(run.lattice),
        Cell(run.label),
        Cell(run.network),
        number(run.about.get("parameters"), 0, note="not written by this version"),
        Cell(str(run.about.get("device", "?"))),
        number(run.epochs, 0),
        number(run.about.get("train_seconds"), 1),
        number(speed, 0),
        number(published and published.seconds, 1, note="not published"),
        number(published_speed, 0, note="not published"),
        number(ratio, 3, note="nothing to compare with"),
    ]


def runs_table(runs: Sequence[Run], link: Callable[[Run], str]) -> ResultTable:
    """Return one row per run folder, failed runs too.

    Args:
        runs: The runs.
        link: Returns the address of a run's folder, relative to the report.
    """
    headings = (
        *("run", "status", "lattice", "configuration", "network", "seed", "scale"),
        *("MSE noisy", "MSE clean", "SSIM noisy", "SSIM paper", "val. loss", "train loss"),
        *("PCA-10 MSE noisy", "seconds"),
    )
    return ResultTable("runs", headings, [_run_row(run, link(run)) for run in runs])


def _run_row(run: Run, link: str) -> list[Cell]:
    """Return the row of a run in the table of all runs."""
    error = run.score("mse_noisy")
    digits = {"mse_clean": 5, "ssim_noisy": 4, "ssim_paper": 4}
    scores = {name: run.score(name) for name in digits}
    pca_error = run.score("mse_noisy", "PCA-10")
    scale = run.config.get("scale")
    return [
        Cell(run.folder.name, run.job_number, link=link),
        Cell(run.short_status, note="" if run.finished else run.status),
        Cell(run.lattice),
        Cell(run.label),
        Cell(run.network),
        number(run.seed, 0),
        Cell(f"{scale:g}", scale) if scale is not None else number(None),
        number(error.mean, 5, error.half) if error else number(None),
        *(number(score.mean if score else None, digits[name]) for name, score in scores.items()),
        number(run.metrics.get("val/loss"), 5),
        number(run.metrics.get("train/loss"), 5),
        number(pca_error.mean if pca_error else None, 5),
        number(run.about.get("seconds"), 1),
    ]


def seeds_table(runs: Sequence[Run]) -> ResultTable:
    """Return means and standard deviations of the runs that differ only in their seed."""
    measures = {"mse_noisy": 5, "mse_clean": 5, "ssim_noisy": 4, "ssim_paper": 4}
    measured = (name.replace("_", " ") for name in measures)
    headings = ("lattice", "configuration", "network", "seeds", *measured, "val. loss")
    table = ResultTable("seeds", headings, [])
    for group in group_by_seed([run for run in runs if run.finished]):
        cells = [Cell(group[0].lattice), Cell(group[0].label), Cell(group[0].network)]
        cells.append(Cell(str(len(group)), len(group)))
        for name, digits in measures.items():
            scores = [score.mean for run in group if (score := run.score(name))]
            average = mean_and_deviation(scores)
            cells.append(number(average.mean, digits, average.deviation))
        losses = [run.metrics["val/loss"] for run in group if "val/loss" in run.metrics]
        average = mean_and_deviation(losses)
        table.rows.append([*cells, number(average.mean, 5, average.deviation)])
    return table


def codes_table(runs: Sequence[Run]) -> ResultTable:
    """Return what the latent codes contain: a row per network of each run on several lattices."""
    headings = ("lattice", "run", "codes of", *(column.heading for column in CODE_COLUMNS))
    table = ResultTable("latent_knowledge", headings, [])
    for run in runs:
        if not run.finished:
            continue
        rows = []
        for network, scores in run.latent.items():
            cells = [Cell(run.lattice), Cell(run.label), Cell(network)]
            rows.append([*cells, *(number(scores.get(c.key), c.digits) for c in CODE_COLUMNS)])
        _embolden_columns(rows, CODE_COLUMNS)
        table.rows.extend(rows)
    return table


def sites_table(runs: Sequence[Run]) -> ResultTable:
    """Return how well runs on sites separate their types and defects: a row per finished run."""
    headings = ("lattice", "network", "run", "seed", *(column.heading for column in SITE_COLUMNS))
    table = ResultTable("sites", headings, [])
    for run in runs:
        if run.finished and "sites/turned" in run.metrics:
            texts = (run.lattice, run.network, run.label, str(run.config.get("seed", "")))
            scores = (number(run.metrics.get(c.key), c.digits) for c in SITE_COLUMNS)
            table.rows.append([*map(Cell, texts), *scores])
    _embolden_columns(table.rows, SITE_COLUMNS)
    return table
