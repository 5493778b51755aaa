"""Run folders, read back: what a sweep's jobs reached, side by side."""

import csv
import json
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from stm_experiments.reporting.paper import CONFIGURATIONS, NETWORKS, configuration_of

Curve = list[tuple[float, float]]  # (epoch, value)
SHOWN = ("mse_noisy", "mse_clean", "ssim_noisy")


class Value(NamedTuple):
    """A mean over all patches, and half its 95 % interval by image where there is one."""

    mean: float
    half: float | None


class Run(NamedTuple):
    """One run folder.

    Attributes:
        folder: The folder.
        about: Its run.json: status, seconds, overrides and so on; "shared", if set, are overrides
            that say nothing because the runs beside it have them too.
        metrics: Its metrics.json; empty if the run did not get that far.
        config: Its config.yaml.
        curves: Its metrics.csv: points by curve, "train/loss" and "val/loss".
        three_patches: Its three_patches.json: the statistic of the paper's Table 2, if written.
        latent: Its latent.json: what codes know, by network; of runs on several lattices.
    """

    folder: Path
    about: dict[str, Any]
    metrics: dict[str, float]
    config: dict[str, Any]
    curves: dict[str, Curve]
    three_patches: dict[str, Any]
    latent: dict[str, Any]

    @property
    def status(self) -> str:
        """The word "finished", or what happened instead."""
        status = str(self.about.get("status", "without run.json: it ended before it began"))
        if status == "running":
            return "unfinished: interrupted, or it still runs"
        return status

    @property
    def finished(self) -> bool:
        """Whether there is anything to compare."""
        return self.status == "finished" and bool(self.metrics)

    @property
    def lattice(self) -> str:
        """Its lattice, or all of them joined by "+"."""
        return "+".join(self.config.get("lattice") or {}) or "?"

    @property
    def network(self) -> str:
        """The paper's name of its network, or its class."""
        net = (self.config.get("model") or {}).get("net") or {}
        name = str(net.get("_target_", "?")).rpartition(".")[2]
        return NETWORKS.get(name, name)

    @property
    def configuration(self) -> str | None:
        """Its name among the paper's seven, or None."""
        return configuration_of(self.config, self.about.get("overrides", []))

    @property
    def label(self) -> str:
        """What distinguishes it beside its lattice and seed, in a few words."""
        name = self.configuration
        skipped = ("lattice", "seed", "resume", "experiment" if name else "", "scale")
        words = [name] if name else []
        for override in self.about.get("overrides", []):
            key, _, value = override.lstrip("+").partition("=")
            shared = override in self.about.get("shared", [])
            if not shared and key not in skipped and not key.startswith(("hydra", "trainer.acc")):
                words.append(f"{key.rpartition('.')[2]}={value}")
        return " ".join(words) or "defaults"

    @property
    def epochs(self) -> int | None:
        """Epochs that it was to train."""
        return (self.config.get("trainer") or {}).get("max_epochs")

    @property
    def miniature(self) -> str:
        """Why it is smaller than what it is named after; empty if it is whole."""
        scale = self.config.get("scale", 1.0)
        if scale < 1:
            return f"scale {scale:g}"
        fraction = (self.config.get("data") or {}).get("fraction", 1.0)
        if fraction < 1:
            return f"{100 * fraction:g} % of the images"
        name = self.configuration
        whole = CONFIGURATIONS[name].epochs if name else None
        if whole and self.epochs is not None and self.epochs < whole:
            return f"{self.epochs} of {whole} epochs"
        return ""

    @property
    def split(self) -> str:
        """Which held-out images its scores are of."""
        is_test = any(key.startswith("test/") for key in self.metrics)
        return "test" if is_test else "validation"

    def score(self, name: str, network: str = "") -> Value | None:
        """A measure of its own network or of a baseline ("PCA-10"), if there is one."""
        key = f"baselines/{network}/{name}" if network else f"{self.split}/{name}"
        mean = self.metrics.get(key)
        return None if mean is None else Value(mean, self.metrics.get(f"{key}_ci95"))


def read_run(folder: Path) -> Run:
    """Everything a run folder says in numbers and words; files that are absent read as empty."""
    return Run(
        folder,
        _mapping(folder / "run.json"),
        _mapping(folder / "metrics.json"),
        _mapping(folder / "config.yaml"),
        read_curves(folder / "metrics.csv"),
        _mapping(folder / "three_patches.json"),
        _mapping(folder / "latent.json"),
    )


def _mapping(path: Path) -> dict[str, Any]:
    """A JSON or YAML file, or nothing.

    Raises:
        ValueError: If the file holds something else.
    """
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no mapping")
    return content


def read_curves(path: Path) -> dict[str, Curve]:
    """Points (epoch, loss) of "train/loss" and "val/loss"; empty if there is no such file."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curves = {
        key: [(float(row["epoch"]), float(row[key])) for row in rows if row.get(key)]
        for key in ("train/loss", "val/loss")
    }
    return {key: points for key, points in curves.items() if points}


def read_runs(folder: Path) -> list[Run]:
    """All runs in the subfolders of a sweep, in the order of their job numbers."""
    runs = [read_run(about.parent) for about in folder.glob("*/run.json")]
    return sorted(runs, key=lambda run: (run.about.get("job", 0), run.folder.name))


def find_runs(folder: Path) -> list[Run]:
    """The run that a folder is, or all runs below it, jobs that ended before they began included.

    Raises:
        ValueError: If there is none.
    """
    if not folder.is_dir():
        raise ValueError(f"runs={folder}: there is no such folder")
    folders = {about.parent for about in folder.rglob("run.json")}
    # A job whose config was refused leaves its log and nothing else.
    folders |= {log.parent for log in folder.rglob("train.log")}
    if not folders:
        raise ValueError(f"runs={folder}: there is no run in that folder (no run.json)")
    runs = []
    for each in folders:
        try:
            runs.append(read_run(each))
        except (ValueError, KeyError, OSError) as error:
            runs.append(Run(each, {"status": f"unreadable: {error}"}, {}, {}, {}, {}, {}))
    known = [set(run.about["overrides"]) for run in runs if "overrides" in run.about]
    shared = sorted(set.intersection(*known)) if len(known) > 1 else []
    runs = [run._replace(about={**run.about, "shared": shared}) for run in runs]
    return sorted(runs, key=lambda run: (run.folder.parent, job_number(run), run.folder.name))


def job_number(run: Run) -> int:
    """Its number in the sweep, which is also the first part of its folder's name."""
    number = re.match(r"\d+(?=_|$)", run.folder.name)
    return int(run.about.get("job", number[0] if number else 0))


def by_seed(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that differ only in their seed, together, in the order of the first of each."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[json.dumps(_without_seed(run.config), sort_keys=True, default=str)].append(run)
    return list(groups.values())


def _without_seed(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _without_seed(value) for key, value in config.items() if key != "seed"}
    return config


def print_comparison(runs: list[Run]) -> None:
    """Prints the table of a sweep's jobs, and why those failed that did."""
    console = Console()
    console.print(comparison_table(runs))
    for run in runs:
        if run.about["status"] != "finished":
            console.print(f"job {run.about['job']} {run.status}", markup=False, highlight=False)


def comparison_table(runs: list[Run]) -> Table:
    """One row per job; jobs that differ only in their seed share one, with mean and spread.

    A job is named by what distinguishes it. A spread is the standard deviation over seeds (n - 1).
    """
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        groups[tuple(o for o in run.about["overrides"] if not o.startswith("seed="))].append(run)
    common = set.intersection(*map(set, groups)) if groups else set()
    several = any(len(group) > 1 for group in groups.values())
    captions = [f"all with {' '.join(sorted(common))}"] if common else []
    captions += ["± standard deviation over seeds"] if several else []
    table = Table(
        title="Comparison of the jobs",
        caption="; ".join(captions),
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 0, 0, 1),  # within 80 columns
    )
    table.add_column("job", overflow="fold")
    headings = [name.replace("_", "\n") for name in SHOWN]
    headings = [*headings, "PCA-10\nmse noisy", "time\ns", "done"]
    for heading in ["seeds", *headings] if several else headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for overrides, group in groups.items():
        # The last part of a key is enough here: data.size=64 is size=64.
        own = [re.sub(r"^(experiment=|[^=]*\.)", "", o) for o in overrides if o not in common]
        cells = ["\n".join(own) or "defaults"]
        if several:
            cells.append(str(len(group)))
        for name in SHOWN:
            cells.append(_mean_and_spread([_reported(run.metrics, name) for run in group]))
        baseline = [run.metrics.get("baselines/PCA-10/mse_noisy") for run in group]
        cells.append(_mean_and_spread(baseline))
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
