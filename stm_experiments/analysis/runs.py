"""Run folders, read back: what a sweep's jobs reached, side by side."""

import json
import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

SHOWN = ("mse_noisy", "mse_clean", "ssim_noisy")


class Run(NamedTuple):
    """One run folder.

    Attributes:
        folder: The folder.
        about: Its run.json: status, seconds, overrides and so on.
        metrics: Its metrics.json; empty if the run did not get that far.
    """

    folder: Path
    about: dict[str, Any]
    metrics: dict[str, float]


def read_runs(folder: Path) -> list[Run]:
    """All runs in the subfolders of a sweep, in the order of their job numbers."""
    runs = []
    for about in folder.glob("*/run.json"):
        metrics = about.with_name("metrics.json")
        runs.append(
            Run(
                about.parent,
                json.loads(about.read_text(encoding="utf-8")),
                json.loads(metrics.read_text(encoding="utf-8")) if metrics.is_file() else {},
            )
        )
    return sorted(runs, key=lambda run: (run.about.get("job", 0), run.folder.name))


def print_comparison(runs: list[Run]) -> None:
    """Prints the table of a sweep's jobs, and why those failed that did."""
    console = Console()
    console.print(comparison_table(runs))
    for run in runs:
        status = run.about["status"]
        if status != "finished":
            console.print(f"job {run.about['job']} {status}", markup=False, highlight=False)


def comparison_table(runs: list[Run]) -> Table:
    """One row per job; jobs that differ only in their seed share one, with mean and spread.

    A job is named by what distinguishes it. A spread is the standard deviation over seeds (n - 1).
    """
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        groups[tuple(o for o in run.about["overrides"] if not o.startswith("seed="))].append(run)
    common = set.intersection(*map(set, groups)) if len(groups) > 1 else set()
    several = any(len(group) > 1 for group in groups.values())
    captions = [f"all with {' '.join(sorted(common))}"] if common else []
    captions += ["± standard deviation over seeds"] if several else []
    table = Table(title="Comparison of the jobs", caption="; ".join(captions), box=box.SIMPLE)
    table.add_column("job", overflow="fold")
    headings = [name.replace("_", "\n") for name in SHOWN]
    headings = [*headings, "PCA-10\nmse noisy", "time\ns", "done"]
    for heading in ["seeds", *headings] if several else headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for overrides, group in groups.items():
        # The last part of a key is enough here: data.size=64 is size=64.
        own = [re.sub(r"^[^=]*\.", "", o) for o in overrides if o not in common]
        cells = ["\n".join(own) or "defaults"]
        if several:
            cells.append(str(len(group)))
        for name in SHOWN:
            cells.append(_mean_and_spread([_reported(run.metrics, name) for run in group]))
        rival = [run.metrics.get("rivals/PCA-10/mse_noisy") for run in group]
        cells.append(_mean_and_spread(rival))
        seconds = [s for run in group if (s := run.about.get("seconds")) is not None]
        cells.append(f"{sum(seconds) / len(seconds):.0f}" if seconds else "-")
        cells.append(f"{sum(r.about['status'] == 'finished' for r in group)} of {len(group)}")
        table.add_row(*cells)
    return table


def _reported(metrics: dict[str, float], name: str) -> float | None:
    """A metric on the test split or, where there is none, on validation."""
    return metrics.get(f"test/{name}", metrics.get(f"validation/{name}"))


def _mean_and_spread(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = sum(known) / len(known)
    if len(known) == 1:
        return f"{mean:.5f}"
    spread = math.sqrt(sum((value - mean) ** 2 for value in known) / (len(known) - 1))
    return f"{mean:.5f}\n±{spread:.5f}"
