"""What distinguishes runs: the names of their images and models, and their hyperparameters."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from stm_experiments.core.texts import shortened
from stm_experiments.reporting.averages import sort_lattices
from stm_experiments.reporting.runs import Run

Value = str | float | None
NAMES = ("lattice", "noise", "images", "model")  # attributes of a run
FIRST = ("lr", "latent", "batch_size", "max_epochs", "patches_per_image", "images_per_epoch")
# Parts and keys of config.yaml that the names stand for, or that say how and how often a run was
# made.
_PARTS = {
    "logger",
    "callbacks",
    "lattice",
    "experiment",
    "plugins",
    "resume",
    "init",
    "resume_anyway",
    "baselines",
}
_KEYS = {"seed", "fold", "root", "lattices", "fused", "num_workers", "optimized_metric"}
_KEYS |= {"checkpoint_minutes", "accelerator", "devices", "max_time", "figures"}
_MOST_CHARACTERS = 40  # of a value that is shown


class Task(NamedTuple):
    """What runs share whose results can be compared.

    Attributes:
        lattice: Name of the lattice.
        noise: Name of the noise.
        images: Name of the source of the images.
        metric: The entry of metrics.json that is compared.
        loss: What the loss is; empty if the metric is none.
    """

    lattice: str
    noise: str
    images: str
    metric: str
    loss: str

    @property
    def measure(self) -> str:
        """The metric with its meaning."""
        return f"{self.metric}: {self.loss}" if self.loss else self.metric


def task_of(run: Run) -> Task:
    """Return what a run can be compared by."""
    loss = run.loss if run.metric.partition("/")[2] in ("loss", "best_loss") else ""
    return Task(run.lattice, run.noise, run.images, run.metric, loss)


class Settings:
    """The settings in which runs differ.

    Args:
        runs: All runs of a report.

    Attributes:
        names: Those of ``NAMES`` that differ among the runs.
        keys: Keys of config.yaml that differ among runs with the same names, such as
            "model.optimizer.lr"; of keys that change together one.
        headings: A short name of each key, such as "lr".
        seeds: Whether the runs have different seeds.
        tasks: The runs that have a result, best first, by what they can be compared by.
        ranked: All runs: the best of each task, the second of each and so on, then those without
            a result.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        started = [run for run in runs if run.config]
        self.names = [name for name in NAMES if len({getattr(r, name) for r in started}) > 1]
        self._values = {run.folder: dict(flatten(run.config)) for run in started}
        self.seeds = len({run.seed for run in started}) > 1
        groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
        for run in started:
            groups[tuple(getattr(run, name) for name in NAMES)].append(run)
        varied = {key for group in groups.values() for key in self._varied(group)}
        overrides = (text for run in started for text in run.about.get("overrides", []))
        given = {text.lstrip("+").partition("=")[0] for text in overrides}
        order = sorted(varied, key=lambda key: (key not in given, *_rank(key)))
        self.keys = sorted(self._independent(order, started), key=_rank)
        self.headings = _short_names(self.keys)
        self.tasks = self._compare(started)
        rows = zip_longest(*self.tasks.values())
        best = {run.folder: run for row in rows for run in row if run is not None}
        self.ranked = [*best.values(), *(run for run in runs if run.folder not in best)]

    def _varied(self, runs: Sequence[Run]) -> set[str]:
        """Return the keys that all of some runs have, with different values."""
        tables = [self._values[run.folder] for run in runs]
        shared = set.intersection(*map(set, tables))
        return {key for key in shared if len({table[key] for table in tables}) > 1}

    def _independent(self, keys: Sequence[str], runs: Sequence[Run]) -> list[str]:
        """Return the keys without those that divide the runs as an earlier one does."""
        patterns: dict[tuple[int, ...], str] = {}
        for key in keys:
            numbers: dict[Value, int] = {}
            values = (self.value(run, key) for run in runs)
            patterns.setdefault(tuple(numbers.setdefault(v, len(numbers)) for v in values), key)
        return list(patterns.values())

    def _compare(self, runs: Sequence[Run]) -> dict[Task, list[Run]]:
        """Return the finished runs by task, best first; the tasks in the order of the lattices."""
        tasks: dict[Task, list[Run]] = defaultdict(list)
        for run in runs:
            if run.finished and run.result is not None:
                tasks[task_of(run)].append(run)
        lattices = sort_lattices({task.lattice for task in tasks})
        order = sorted(tasks, key=lambda task: (lattices.index(task.lattice), task))
        return {task: sorted(tasks[task], key=lambda run: run.badness) for task in order}

    def value(self, run: Run, key: str) -> Value:
        """Return a run's value of a key; None if it has none."""
        return self._values.get(run.folder, {}).get(key)

    @property
    def numeric(self) -> list[str]:
        """The keys whose values are numbers in all runs that have one."""
        tables = self._values.values()
        return [
            key
            for key in self.keys
            if all(isinstance(table.get(key, 0.0), int | float) for table in tables)
        ]

    def label(self, run: Run) -> str:
        """Return the hyperparameters of a run, or the name of its configuration, in a few words."""
        if not run.config:
            return " ".join(run.about.get("overrides", []))
        values = self._values[run.folder]
        words = [f"{self.headings[key]} {shown(values[key])}" for key in self.keys if key in values]
        return run.configuration or ", ".join(words)

    def name(self, run: Run, *left_out: str) -> str:
        """Return the name of a run on the page: all in which it differs from others.

        Args:
            run: The run.
            left_out: Those of ``NAMES`` that are known where the name is shown.
        """
        if not run.config:
            return run.folder.name
        words = [getattr(run, name) for name in self.names if name not in left_out]
        words += [self.label(run), f"seed {run.seed}" if self.seeds else ""]
        return ", ".join(filter(None, words)) or run.model

    def name_of(self, group: Sequence[Run], *left_out: str) -> str:
        """Return the name of runs that differ only in their seed; see ``name``."""
        if len(group) == 1:
            return self.name(group[0], *left_out)
        words = [getattr(group[0], name) for name in self.names if name not in left_out]
        words = [word for word in (*words, self.label(group[0])) if word] or [group[0].model]
        return f"{', '.join(words)}, {len(group)} seeds"

    def title(self, task: Task, *, loss: bool = True) -> str:
        """Return how a task differs from the others: "fcc, noise paper"; empty if it is alone.

        Args:
            task: The task.
            loss: Whether the loss is named, too.
        """
        words = []
        for name in ("lattice", "noise", "images", *(["loss"] if loss else [])):
            if len({getattr(other, name) for other in self.tasks}) > 1 and getattr(task, name):
                words.append(
                    f"{'' if name in ('lattice', 'loss') else name + ' '}{getattr(task, name)}"
                )
        return ", ".join(words)


def shown(value: Value) -> str:
    """Return a setting as text."""
    if isinstance(value, int | float):
        return f"{value:.6g}"
    return "none" if value is None else shortened(value, _MOST_CHARACTERS)


def flatten(config: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield each setting of a config: its dotted key and its value.

    A part with a ``_target_`` is the setting "part" with the name of its class, too. Lists and
    truth values are texts.
    """
    for key, value in config.items():
        if key not in _PARTS | {"data"}:
            yield from _flatten(key, value)
    data = config.get("data") or {}
    same_noise = data.get("noise") == config.get("noise")  # it is there twice
    for key, value in data.items():
        if not (key == "noise" and same_noise):
            yield from _flatten(f"data.{key}", value)


def _flatten(key: str, value: object) -> Iterator[tuple[str, Value]]:
    """Yield the settings of a part of a config; see ``flatten``."""
    leaf = key.rpartition(".")[2]
    if leaf in _KEYS or leaf.startswith("_"):
        return
    if isinstance(value, dict):
        if "_target_" in value:
            yield key, str(value["_target_"]).rpartition(".")[2]
        for name, part in value.items():
            yield from _flatten(f"{key}.{name}", part)
    elif isinstance(value, bool):
        yield key, str(value).lower()
    elif value is None or isinstance(value, str | int | float):
        yield key, value
    else:
        yield key, json.dumps(value, default=str)


def _rank(key: str) -> tuple[int, str]:
    """Return the place of a key: those that are varied most often come first."""
    leaf = key.rpartition(".")[2]
    return (FIRST.index(leaf) if leaf in FIRST else len(FIRST), key)


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each key, and the part before it where that is not unique."""
    leaves = Counter(key.rpartition(".")[2] for key in keys)
    parts = {key: key.split(".") for key in keys}
    return {
        key: " ".join(words[-1 if leaves[words[-1]] == 1 else -2 :]).replace("_", " ")
        for key, words in parts.items()
    }
