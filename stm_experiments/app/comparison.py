"""The console table that compares the jobs of a sweep."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stm_experiments.app.tables import fitted
from stm_experiments.core.intervals import Interval
from stm_experiments.core.results.names import current_name
from stm_experiments.core.texts import printable
from stm_experiments.reporting.averages import distinct, mean_and_deviation
from stm_experiments.reporting.runs import Run, read_runs

MEASURES = ("mse_noisy", "mse_clean", "ssim_noisy")
REPEATS = ("seed=", "data.fold=")  # keys over which the table takes means


def print_comparison(sweep: Path) -> None:
    """Print the table of the jobs in the folder of a sweep, and why jobs failed."""
    runs, console = read_runs(sweep), Console()
    if any(run.finished for run in runs):
        console.print(fitted(comparison_table(runs), console.width, "metrics.json"))
    for run in runs:
        if run.about.get("status") != "finished":
            line = printable(f"job {run.job_number} {run.status}")
            console.print(line, markup=False, highlight=False)


def comparison_table(runs: Sequence[Run]) -> Table:
    """Return a table with one row per job.

    Jobs that differ only in their seed, or in the fold of files that they test, share a row, with
    the mean and the standard deviation (n - 1) over these. Of jobs with the same overrides, one
    counts: what was done twice says nothing about the spread. A job is named by the overrides that
    distinguish it. The metric that the sweep optimises takes the place of the last measure.
    """
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in distinct(runs):
        groups[
            tuple(o for o in run.about.get("overrides", []) if not o.startswith(REPEATS))
        ].append(run)
    measures = measures_of(runs)
    common = set.intersection(*map(set, groups)) if groups else set()
    several = any(len(group) > 1 for group in groups.values())
    captions = [f"all with {' '.join(sorted(common))}"] if common else []
    folds = any(o.startswith(REPEATS[1]) for run in runs for o in run.about.get("overrides", []))
    repeats = "folds" if folds else "seeds"
    captions += [f"± standard deviation over {repeats}"] if several else []
    table = Table(
        title="Comparison of the jobs",
        caption=escape(printable("; ".join(captions))),
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 0, 0, 1),  # within 80 columns
    )
    table.add_column("job", overflow="fold")
    headings = [name.replace("_", "\n").replace("/", "\n") for name in measures]
    headings = [*headings, "PCA-10\nmse noisy", "time\ns", "done"]
    for heading in [repeats, *headings] if several else headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for overrides, group in groups.items():
        # The last part of a key is enough here: data.size=64 is size=64.
        words = [re.sub(r"^(experiment=|[^=]*\.)", "", o) for o in overrides if o not in common]
        count = [str(len(group))] if several else []
        name = escape(printable("\n".join(words))) or "defaults"
        table.add_row(name, *count, *_results(group, measures))
    return table


def measures_of(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the measures of a table: the metric that the runs optimise is one of them."""
    given = [run.config.get("optimized_metric") for run in runs]
    names = {current_name(name) for name in given if isinstance(name, str)}
    shown = {name.rpartition("/")[2] for name in names} & set(MEASURES)
    return MEASURES if len(names) != 1 or shown else (*MEASURES[:-1], *names)


def _score(run: Run, measure: str) -> Interval | None:
    if "/" not in measure:
        return run.score(measure)
    value = run.metrics.get(measure)
    return None if value is None else Interval(value, None)


def _results(group: Sequence[Run], measures: Sequence[str]) -> list[str]:
    """Return the cells of a group of seeds: measures, PCA-10's error, seconds, jobs done."""
    cells = [_mean_over_seeds([_score(run, name) for run in group]) for name in measures]
    cells.append(_mean_over_seeds([run.score("mse_noisy", "PCA-10") for run in group]))
    seconds = [s for run in group if (s := run.about.get("seconds")) is not None]
    cells.append(f"{mean_and_deviation(seconds).mean:.0f}" if seconds else "-")
    cells.append(f"{sum(run.about.get('status') == 'finished' for run in group)} of {len(group)}")
    return cells


def _mean_over_seeds(scores: Sequence[Interval | None]) -> str:
    """Return the mean over seeds and, below it, the standard deviation."""
    means = [score.mean for score in scores if score is not None]
    if not means:
        return "-"
    average = mean_and_deviation(means)
    if average.deviation is None:
        return f"{average.mean:.5f}"
    return f"{average.mean:.5f}\n±{average.deviation:.5f}"
