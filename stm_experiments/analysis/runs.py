"""Run folders, read back: what a sweep's jobs reached, side by side."""

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

SHOWN = ("mse_noisy", "mse_clean", "ssim_noisy", "ssim_clean")


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


def comparison_table(runs: list[Run]) -> Table:
    """One row per job; jobs that differ only in their seed share one, with mean and spread.

    A spread is the standard deviation over seeds (n - 1).
    """
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        same = tuple(o for o in run.about.get("overrides", []) if not o.startswith("seed="))
        groups[same].append(run)
    several = any(len(group) > 1 for group in groups.values())
    table = Table(
        title="Comparison of the jobs", caption="± standard deviation over seeds" if several else ""
    )
    table.add_column("job", overflow="fold")
    if several:
        table.add_column("seeds", justify="right")
    for name in SHOWN:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("PCA-10\nmse noisy", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("status", overflow="fold")
    for overrides, group in groups.items():
        cells = [" ".join(overrides) or "defaults"]
        if several:
            cells.append(str(len(group)))
        for name in SHOWN:
            cells.append(_mean_and_spread([_reported(run.metrics, name) for run in group]))
        rival = [run.metrics.get("rivals/PCA-10/mse_noisy") for run in group]
        cells.append(_mean_and_spread(rival))
        seconds = [s for run in group if (s := run.about.get("seconds")) is not None]
        cells.append(f"{sum(seconds) / len(seconds):.0f}" if seconds else "-")
        cells.append("; ".join(sorted({str(run.about.get("status")) for run in group})))
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
    return f"{mean:.5f} ±{spread:.5f}"
