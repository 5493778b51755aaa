"""The command of the frozen collection: score methods on it, print, and write everything."""

import argparse
import heapq
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from stm_experiments.benchmarks.printing import printed_table
from stm_experiments.benchmarks.quality import case_tables
from stm_experiments.benchmarks.quality.case_scores import as_row, score_case
from stm_experiments.benchmarks.quality.case_sheet import PicturedCase, worst_sheet
from stm_experiments.benchmarks.quality.case_tables import Row
from stm_experiments.benchmarks.quality.collection import (
    SPLITS,
    Case,
    CaseName,
    build_case,
    case_names,
    fingerprint,
    published_cases,
)
from stm_experiments.benchmarks.quality.goals import goal_table
from stm_experiments.benchmarks.quality.methods import METHODS, Candidates, method_named
from stm_experiments.core.files import atomic_write_text
from stm_experiments.figures.canvas import save_figure
from stm_experiments.reporting.result_table import ResultTable, to_csv

_PICTURED = 8  # worst cases of a method


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--split", choices=SPLITS, default="development", help="of the seeds")
    parser.add_argument(
        "--method", nargs="*", default=["denoise", "patch PCA", "Gaussian"],
        help=f"of {'; '.join(METHODS)}; or a trained model, applied once; denoise by <model>",
    )  # fmt: skip
    parser.add_argument(
        "--strata",
        nargs="+",
        default=[],
        help="only cases whose name or kinds contain one of these",
    )
    parser.add_argument("--miniature", action="store_true", help="one case of 96 px per surface")
    parser.add_argument(
        "--published", help="folder of sc, bcc, fcc with published validation pairs"
    )
    parser.add_argument("--merge", nargs="+", default=[], help="results (JSON) of earlier runs")
    parser.add_argument("--json", help="file for the results of all cases")


def selected_cases(split: str, strata: Sequence[str], *, miniature: bool) -> list[CaseName]:
    """Return the cases of a split whose name, surface kind or noise kind contains a text.

    Raises:
        ValueError: If no case does.
    """
    names = case_names(split, miniature=miniature)
    if strata:
        names = [
            name for name in names
            if any(x in f"{name} | {name.surface_kind} | {name.noise_kind}" for x in strata)
        ]  # fmt: skip
    if not names:
        raise ValueError(f"--strata: no case is called {' or '.join(strata)}")
    return names


def score_method(
    method: str,
    candidates: Candidates,
    cases: Iterable[Case],
    total: int,
    console: Console,
    keep: Callable[[Sequence[Row]], None] = lambda rows: None,
) -> tuple[list[Row], list[PicturedCase]]:
    """Score a method on cases; say which it refuses.

    Args:
        method: Its name.
        candidates: Its settings for a case.
        cases: In any order.
        total: Their number.
        console: For the progress and refusals.
        keep: Called after each case with all rows so far.

    Returns:
        The rows of results, and the worst cases.
    """
    rows: list[Row] = []
    worst: list[tuple[float, int, PicturedCase]] = []
    for number, case in enumerate(track(cases, method, total, console=console)):
        try:
            scores, setting, estimate = score_case(case, candidates)
        except ValueError as error:
            console.print(
                f"left out: {method} on {case.name}: {error}", style="yellow", markup=False
            )
            continue
        rows.append(as_row(case, method, setting, scores))
        keep(rows)
        entry = PicturedCase(scores["gain"], case, estimate.heights)
        heapq.heappush(worst, (-scores["gain"], number, entry))
        if len(worst) > _PICTURED:
            heapq.heappop(worst)
    return rows, [entry for _, _, entry in sorted(worst, reverse=True)]


def read_results(path: str, mark: str) -> list[Row]:
    """Read the rows of an earlier run.

    Raises:
        ValueError: If the file is not one of this collection and split.
    """
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        found, rows = content["fingerprint"], list(content["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--merge: {path} holds no results of the collection: {error}") from None
    if found != mark:
        raise ValueError(f"--merge: {path} is of another split or version of the collection")
    return rows


def run(options: argparse.Namespace, folder: Path, console: Console) -> None:
    """Score, print and write.

    Raises:
        ValueError: If an option names something that does not exist or is not installed.
    """
    names = selected_cases(options.split, options.strata, miniature=options.miniature)
    mark = fingerprint(options.split, miniature=options.miniature)
    published = published_cases(options.published) if options.published else []
    methods = {name: method_named(name) for name in options.method}
    merged = [row for path in options.merge for row in read_results(path, mark)]
    latest = {(row["method"], row["case"]): row for row in merged if row["method"] not in methods}
    rows = list(latest.values())
    folder.mkdir(parents=True, exist_ok=False)
    for name, candidates in methods.items():
        cases = chain(map(build_case, names), published)
        total = len(names) + len(published)
        keep = partial(write_results, options.json, mark, rows)
        own, worst = score_method(name, candidates, cases, total, console, keep)
        rows += own
        if worst:
            save_figure(worst_sheet(name, worst), folder / f"worst_{name.replace(' ', '_')}.png")
    write_results(options.json, mark, rows)
    write_tables(rows, folder, console)


def write_results(
    path: str | None, mark: str, rows: Sequence[Row], further: Sequence[Row] = ()
) -> None:
    """Write the rows of results with the mark of their collection, if a file is wanted."""
    if path:
        content = {"fingerprint": mark, "rows": [*rows, *further]}
        atomic_write_text(Path(path), json.dumps(content, indent=1))


def write_tables(rows: Sequence[Row], folder: Path, console: Console) -> None:
    """Print all tables and write them as CSV."""

    def write(table: ResultTable, title: str, caption: str, block: int) -> None:
        atomic_write_text(folder / f"{table.name}.csv", to_csv(table))
        if table.rows:
            console.print(printed_table(table, title, caption, block))

    gains = case_tables.stratum_table(rows, "gain", "gain", worst=min, digits=1)
    write(
        gains,
        "Gain, dB",
        "Mean squared error of the noisy image over that of the estimate, without planes; mean ± "
        "half the 95 % interval over the images, and the least. A baseline has its best setting.",
        1,
    )
    bragg = case_tables.stratum_table(
        rows, "bragg", "bragg_worst", worst=case_tables.furthest_from_one, digits=3
    )
    write(bragg, "Bragg peaks", "The amplitude ratio furthest from 1 in each image.", 1)
    write(
        case_tables.feature_table(rows),
        "Features",
        "kept: share of the feature's amplitude. added: what appears beside it over its own (root "
        "mean squares); peak: the largest.",
        2,
    )
    write(
        case_tables.invention_table(rows),
        "White noise alone",
        "left: share of the noise. maxima above 3 standard deviations and skewness, of the result "
        "and of a Gaussian filter that leaves as much. peak: ratio of their radial spectra.",
        1,
    )
    write(case_tables.coverage_table(rows), "Uncertainty", "Pixels within 1 and 2 of it, %.", 1)
    write(case_tables.worst_table(rows), "Worst cases", "", 1)
    goals = goal_table(rows)
    atomic_write_text(folder / f"{goals.name}.csv", to_csv(goals))
    for method, goal, measured, verdict in goals.rows:
        text = f"{method.text}: {goal.text}: {measured.text}: {verdict.text}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
