"""The tables of a report, from its runs."""

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.core.results.measures import MEASURES
from stm_experiments.core.results.names import FLOOR, metric_name, networks_named
from stm_experiments.metrics.measures import METRICS
from stm_experiments.reporting.averages import best_group, distinct, group_by_seed, sort_lattices
from stm_experiments.reporting.paper import published
from stm_experiments.reporting.result_table import NO_VALUE, Cell, ResultTable, embolden, number
from stm_experiments.reporting.runs import Run
from stm_experiments.reporting.settings import Settings, Value, shown

Link = Callable[[Run], str]  # the address of a run's folder, relative to the report


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


def _measure_columns(*keys: str) -> tuple[Column, ...]:
    """Return the columns of measures of patches."""
    measures = {key: MEASURES[key] for key in keys}
    return tuple(
        Column(each.title, key, each.digits, not each.highest_is_best)
        for key, each in measures.items()
    )


RESULT_COLUMNS = _measure_columns("mse_noisy", "mse_clean", "ssim_noisy")
BASELINE_COLUMNS = _measure_columns(*METRICS)
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
SITE_COLUMNS = (  # measures of the part "sites"
    Column("ARI of site types", "ari", 3, False),
    Column("angle error (°)", "angle_error", 1, True),
    Column("variance under turns", "turned", 3, True),
    Column("defects (AUROC)", "auroc", 3, False),
    Column("vacancies", "auroc_vacancy", 3, False),
    Column("half a column", "auroc_part_of_a_vacancy", 3, False),
    Column("substitutions", "auroc_substitution", 3, False),
    Column("adatoms", "auroc_adatom", 3, False),
)


def _embolden_columns(rows: Sequence[list[Cell]], columns: Sequence[Column]) -> None:
    """Mark the best numbers of the last columns of some rows."""
    for place, column in enumerate(columns, -len(columns)):
        if column.smallest_is_best is not None:
            embolden(rows, place, smallest=column.smallest_is_best)


def _without_empty_columns(table: ResultTable) -> ResultTable:
    """Return a table without the columns in which no row has an entry."""
    kept = [
        place
        for place in range(table.width)
        if not table.rows or any(row[place].text not in ("", NO_VALUE) for row in table.rows)
    ]
    rows = [[row[place] for place in kept] for row in table.rows]
    return table._replace(columns=tuple(table.columns[place] for place in kept), rows=rows)


def setting_headings(settings: Settings) -> list[str]:
    """Return the headings of what differs among the runs: names and hyperparameters."""
    return [*settings.names, *(settings.headings[key] for key in settings.keys)]


def _setting_cells(run: Run, settings: Settings) -> list[Cell]:
    """Return what differs among the runs."""
    names = [Cell(getattr(run, name) if run.config else "") for name in settings.names]
    return [*names, *(_value_cell(settings.value(run, key)) for key in settings.keys)]


def _value_cell(value: Value) -> Cell:
    """Return the cell of a setting."""
    if isinstance(value, int | float):
        return Cell(shown(value), value)
    return Cell("" if value is None else shown(value))


def result_cell(value: float | None, half: float | None = None) -> Cell:
    """Return the cell of a number of any size, such as a loss in nats: five decimals below 1."""
    if value is None or not math.isfinite(value):
        return number(value)
    digits = 5 if abs(value) < 1 else max(0, 4 - int(math.log10(abs(value))))
    return number(value, digits, half)


def best_table(settings: Settings, link: Link) -> ResultTable:
    """Return the best run of each task: of one lattice, noise and source of images, by one metric.

    Runs that differ only in their seed compete by their mean.
    """
    measures = {task.measure: task.metric for task in settings.tasks}
    value = next(iter(measures.values())) if len(measures) == 1 else "value"
    headings = ("task", "compared by", "runs", "best run", value, "linear baseline")
    rows = []
    for task, runs in settings.tasks.items():
        group, mean = best_group(runs)
        n_runs, best = len(distinct(runs)), group[0]
        name = settings.name_of(group, "lattice", "noise", "images")
        baseline, error = baseline_of(best)
        rows.append(
            [
                Cell(
                    settings.title(task, loss=False)
                    or f"{task.lattice}, {task.noise or task.images}"
                ),
                Cell(task.measure if len(measures) > 1 else ""),
                Cell(str(n_runs), n_runs),
                Cell(name, link=link(best)),
                result_cell(*mean),
                Cell(f"{baseline} {error:.5f}", error) if error is not None else number(None),
            ]
        )
    return _without_empty_columns(ResultTable("best", headings, rows))


def baseline_of(run: Run) -> tuple[str, float | None]:
    """Return the PCA with as many components as the run's code has, and its error.

    The error is the measure of the run's own loss, on the held-out images; None if there is none.
    Without a PCA of that size it is the smallest one.
    """
    names = networks_named(run.metrics)
    sizes = {int(name[4:]) for name in names if re.fullmatch(r"PCA-\d+", name)}
    if run.error_key is None or not sizes:
        return "", None
    latent = ((run.config.get("model") or {}).get("net") or {}).get("latent")
    name = f"PCA-{latent if latent in sizes else min(sizes)}"
    score = run.score(run.error_key, name)
    return name, None if score is None else score.mean


def runs_table(runs: Sequence[Run], settings: Settings, link: Link) -> ResultTable:
    """Return one row per run folder, failed runs too; columns without a number are left out."""
    metrics = list(dict.fromkeys(run.metric for run in runs if run.config))
    shown_metrics = [
        key for key in metrics if not key.endswith(tuple(c.key for c in RESULT_COLUMNS))
    ]
    headings = ("run", "status", *setting_headings(settings), "seed", *shown_metrics)
    headings += (*(column.heading for column in RESULT_COLUMNS), "PCA-10 MSE noisy", "seconds")
    rows = []
    for run in runs:
        pca_error = run.score("mse_noisy", "PCA-10")
        rows.append(
            [
                Cell(run.folder.name, run.job_number, link=link(run)),
                Cell(run.short_status, note="" if run.finished else run.status),
                *_setting_cells(run, settings),
                number(run.seed if settings.seeds else None, 0),
                *(result_cell(run.metrics.get(key)) for key in shown_metrics),
                *_score_cells(run, "", RESULT_COLUMNS),
                number(pca_error.mean if pca_error else None, 5),
                number(run.about.get("seconds"), 1),
            ]
        )
    return _without_empty_columns(ResultTable("runs", headings, rows))


def seeds_table(runs: Sequence[Run], settings: Settings) -> ResultTable:
    """Return means and 95 % intervals of the runs that differ only in their seed or fold."""
    finished = [run for run in runs if run.finished]
    metrics = list(dict.fromkeys(run.metric for run in finished))
    shown_metrics = [
        key for key in metrics if not key.endswith(tuple(c.key for c in RESULT_COLUMNS))
    ]
    columns = (*shown_metrics, *(column.heading for column in RESULT_COLUMNS))
    table = ResultTable("seeds", (*setting_headings(settings), "seeds", *columns), [])
    for group in group_by_seed(finished):
        cells = [*_setting_cells(group[0], settings), Cell(str(len(group)), len(group))]
        for key in shown_metrics:
            values = [run.metrics[key] for run in group if key in run.metrics]
            cells.append(result_cell(*mean_and_interval(values)))
        for column in RESULT_COLUMNS:
            scores = [score.mean for run in group if (score := run.score(column.key))]
            average = mean_and_interval(scores)
            cells.append(number(average.mean, column.digits, average.half))
        table.rows.append(cells)
    return _without_empty_columns(table)


def baselines_table(runs: Sequence[Run], settings: Settings) -> ResultTable:
    """Return our best network per lattice, the linear baselines, the noisy input and the floor."""
    headings = ("lattice", "noise", "what", *(column.heading for column in BASELINE_COLUMNS))
    table = ResultTable("baselines", headings, [])
    images: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        if run.finished:
            images.setdefault((run.lattice, run.noise, run.images), []).append(run)
    lattices = sort_lattices({lattice for lattice, _, _ in images})
    for key in sorted(images, key=lambda key: (lattices.index(key[0]), key)):
        table.rows.extend(_baseline_rows(images[key], settings))
    return _without_empty_columns(table)


def _baseline_rows(runs: Sequence[Run], settings: Settings) -> list[list[Cell]]:
    """Return the rows of the runs on the same kind of images."""
    origin = [Cell(runs[0].lattice), Cell(runs[0].noise)]
    rows = []
    for model in dict.fromkeys(run.model for run in runs):
        of_model = [run for run in runs if run.model == model]
        best = min(of_model, key=_error)
        label = settings.label(best)
        what = f"{best.network}, best of {len(of_model)}" + (f": {label}" if label else "")
        what = what if len(of_model) > 1 else best.network
        rows.append([*origin, Cell(what), *_score_cells(best, "", BASELINE_COLUMNS)])
    reference = next((run for run in runs if run.configuration == "baseline"), runs[0])
    for baseline in networks_named(reference.metrics):
        cells = _score_cells(reference, baseline, BASELINE_COLUMNS)
        rows.append([*origin, Cell(baseline), *cells])
    # Against the noisy image the noisy input itself is perfect and does not compete.
    competitors = [row for row in rows if row[2].text != "noisy input"]
    for place, column in enumerate(BASELINE_COLUMNS, 3):
        competing = rows if column.key.endswith("clean") else competitors
        embolden(competing, place, smallest=bool(column.smallest_is_best))
    floor = _score_cells(reference, FLOOR, BASELINE_COLUMNS)
    if all(cell.value is None for cell in floor):
        return rows
    return [*rows, [*origin, Cell("floor (8 parameters)"), *floor]]


def _error(run: Run) -> float:
    """Return the error by which the best run is chosen; infinite if there is none."""
    score = run.score("mse_noisy")
    return score.mean if score else math.inf


def _score_cells(run: Run, baseline: str, columns: Sequence[Column]) -> list[Cell]:
    """Return the cells of measures of a run's network or of one of its baselines."""
    scores = ((column, run.score(column.key, baseline)) for column in columns)
    return [
        number(score.mean, column.digits, score.half) if score else number(None)
        for column, score in scores
    ]


def times_table(runs: Sequence[Run], settings: Settings) -> ResultTable:
    """Return the training time and speed of each run, compared with the paper's T4."""
    headings = (
        *("run", *setting_headings(settings), "parameters", "device", "epochs"),
        *("training, s", "patches/s", "paper's training (T4), s", "paper's patches/s"),
        "our speed / theirs",
    )
    rows = [_time_row(run, settings) for run in runs if run.finished]
    return _without_empty_columns(ResultTable("times", headings, rows))


def _time_row(run: Run, settings: Settings) -> list[Cell]:
    """Return the row of a run in the table of times."""
    configuration = run.configuration or ""
    row = published.PUBLISHED.get((run.lattice, configuration))
    speed = run.about.get("patches_per_second")
    published_speed = published.published_speed(run.lattice, configuration)
    ratio = speed / published_speed if speed and published_speed else None
    return [
        Cell(str(run.job_number), run.job_number),
        *_setting_cells(run, settings),
        number(run.about.get("parameters"), 0),
        Cell(str(run.about.get("device", ""))),
        number(run.epochs, 0),
        number(run.about.get("train_seconds"), 1),
        number(speed, 0),
        number(row and row.seconds, 1, note="not published"),
        number(published_speed, 0, note="not published"),
        number(ratio, 3),
    ]


def codes_table(runs: Sequence[Run], settings: Settings) -> ResultTable:
    """Return what the latent codes contain: a row per network of each run on several lattices."""
    headings = ("run", "codes of", *(column.heading for column in CODE_COLUMNS))
    table = ResultTable("latent_knowledge", headings, [])
    for run in runs:
        if not run.finished:
            continue
        rows = []
        for network, scores in run.latent.items():
            cells = [Cell(settings.name(run)), Cell(network)]
            rows.append([*cells, *(number(scores.get(c.key), c.digits) for c in CODE_COLUMNS)])
        _embolden_columns(rows, CODE_COLUMNS)
        table.rows.extend(rows)
    return table


def sites_table(runs: Sequence[Run], settings: Settings) -> ResultTable:
    """Return how well runs on sites separate their types and defects: a row per finished run."""
    headings = ("lattice", "network", "run", *(column.heading for column in SITE_COLUMNS))
    table = ResultTable("sites", headings, [])
    for run in runs:
        keys = [metric_name(c.key, run.split, part="sites") for c in SITE_COLUMNS]
        if run.finished and any(key in run.metrics for key in keys):
            texts = (run.lattice, run.network, settings.name(run, "lattice", "model"))
            scores = (
                number(run.metrics.get(key), column.digits)
                for key, column in zip(keys, SITE_COLUMNS, strict=True)
            )
            table.rows.append([*map(Cell, texts), *scores])
    _embolden_columns(table.rows, SITE_COLUMNS)
    return table
