"""Run folders read back: settings, metrics and curves of each training run."""

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from stm_experiments.core.config_files import read_yaml
from stm_experiments.core.display.drawing import draw_curves
from stm_experiments.core.display.page import as_html
from stm_experiments.core.display.scores import draw_scores
from stm_experiments.core.files import read_csv, read_json
from stm_experiments.core.intervals import Interval
from stm_experiments.core.results.measures import Measure, is_measured, measure_of
from stm_experiments.core.results.names import (
    INTERVAL,
    current_name,
    metric_name,
    split_of,
    with_current_names,
)
from stm_experiments.core.texts import printable
from stm_experiments.reporting import checks
from stm_experiments.reporting.paper.published import CONFIGURATIONS, NETWORKS, configuration_of

# Files of a run, one of which every run folder has.
RECORDS = ("run.json", "config.yaml", "metrics.json", "metrics.csv", "train.log")

Curve = list[tuple[float, float]]  # (epoch, value)
SQUARED_ERROR = "mean squared error per px"


class Run(NamedTuple):
    """A run folder.

    Attributes:
        folder: The folder.
        about: Content of run.json: status, seconds, overrides and so on.
        metrics: Content of metrics.json; empty if the run did not get that far.
        config: Content of config.yaml.
        curves: Points of all measures of metrics.csv, such as "val/loss".
        three_patches: Content of three_patches.json, the statistic of the paper's Table 2; empty
            if there is none.
        latent: Content of latent.json: scores of the latent codes by network; empty if the run
            was on one lattice.
    """

    folder: Path
    about: dict[str, Any]
    metrics: dict[str, float]
    config: dict[str, Any]
    curves: dict[str, Curve]
    three_patches: dict[str, Any]
    latent: dict[str, Any]

    def __repr__(self) -> str:
        """Say in one line what it is, without its curves and its config."""
        return f"<Run {printable(self.folder.name)}: {printable(', '.join(self.facts))}>"

    def _repr_html_(self) -> str:
        """Show the curves of the losses, the scores and the facts in a notebook."""
        names = ("train/loss", "val/loss")
        losses = {str(key): self.curves[key] for key in names if key in self.curves}
        pictures = [draw_curves(losses, "epoch", self.loss)]
        if self.error_key is not None:
            pictures.append(draw_scores(self.metrics, self.error_key, self.network))
        return as_html(self.folder.name, pictures, self.facts)

    @property
    def facts(self) -> list[str]:
        """Status, settings and result in words."""
        noise = f"noise {self.noise}" if self.noise else f"images {self.images}"
        result = [] if self.result is None else [f"{self.metric} {self.result:.4g}"]
        miniature = [self.miniature] if self.miniature else []
        settings = [f"lattice {self.lattice}", noise, f"seed {self.seed}", f"{self.epochs} epochs"]
        return [self.status, f"{self.model} ({self.network})", *settings, *miniature, *result]

    @property
    def status(self) -> str:
        """The word "finished", or what happened instead."""
        status = str(self.about.get("status", "without run.json: it ended before it began"))
        if status == "running":
            return "unfinished: interrupted, or it still runs"
        return status

    @property
    def finished(self) -> bool:
        """Whether the run has results to compare."""
        return self.status == "finished" and bool(self.metrics)

    @property
    def short_status(self) -> str:
        """The status without its reason: "finished", "failed", "unfinished", ..."""
        return "finished" if self.finished else self.status.partition(":")[0]

    @property
    def lattice(self) -> str:
        """The name of the run's lattice, or of all of them joined by "+"."""
        return "+".join(self.config.get("lattice") or {}) or "?"

    @property
    def network(self) -> str:
        """The paper's name of the network, or the network's class."""
        net = (self.config.get("model") or {}).get("net") or {}
        name = str(net.get("_target_", "?")).rpartition(".")[2]
        return NETWORKS.get(name, name)

    @property
    def configuration(self) -> str | None:
        """The run's name among the paper's seven configurations, or None."""
        return configuration_of(self.config, self.about.get("overrides", []))

    @property
    def noise(self) -> str:
        """The name of the simulated noise; empty if the images come from files."""
        if not (self.config.get("data") or {}).get("noise"):
            return ""
        return self._choice("noise") or "not named"

    @property
    def images(self) -> str:
        """The name of the source of the images."""
        source = str((self.config.get("data") or {}).get("_target_", "?")).rpartition(".")[2]
        names = {"SimulatedData": "simulated", "ImageData": "images", "ScanData": "scans"}
        return self._choice("data") or names.get(source, source)

    @property
    def model(self) -> str:
        """The name of the model in the configuration, or the network's class."""
        return self._choice("model") or self.network

    def _choice(self, group: str) -> str | None:
        """Return the file of a config group that the run was started with, if that is known."""
        choice = (self.about.get("choices") or {}).get(group)
        for override in self.about.get("overrides", []):  # of runs without "choices"
            key, _, value = override.lstrip("+").partition("=")
            if key == group and choice is None and not value.startswith("["):
                choice = value
        return choice

    @property
    def metric(self) -> str:
        """The entry of metrics.json by which the run is compared."""
        return current_name(self.config.get("optimized_metric") or "val/loss")

    @property
    def highest_is_best(self) -> bool:
        """Whether more of ``metric`` is better."""
        return self.measure(self.metric).highest_is_best

    @property
    def badness(self) -> float:
        """The result as a number of which less is better; infinite without a result."""
        if self.result is None:
            return math.inf
        return -self.result if self.highest_is_best else self.result

    def measure(self, name: str) -> Measure:
        """Return what a number of the run is; its own objective may have measures of its own."""
        own = self.about.get("measures") or {}
        return measure_of(name, {key: Measure(**each) for key, each in own.items()})

    @property
    def result(self) -> float | None:
        """The value of ``metric``; None if the run has none."""
        value = self.metrics.get(self.metric)
        return value if value is not None and math.isfinite(value) else None

    @property
    def loss(self) -> str:
        """What the loss of the run is, with its unit."""
        if noted := self.about.get("loss"):
            return str(noted)
        model = self.config.get("model") or {}
        objective = str(model.get("_target_", "Reconstruction")).rpartition(".")[2]
        if objective != "Reconstruction" or model.get("loss", "mse") != "mse":
            return f"loss of {objective}"
        return f"{SQUARED_ERROR} against the {model.get('target', 'noisy')} patch"

    @property
    def error_key(self) -> str | None:
        """The measure of held-out images that is the run's own loss; None if there is none."""
        if not self.loss.startswith(SQUARED_ERROR):
            return None
        return "mse_clean" if self.loss.endswith("clean patch") else "mse_noisy"

    @property
    def seed(self) -> int | None:
        """The run's seed."""
        return self.config.get("seed")

    @property
    def epochs(self) -> int | None:
        """The number of epochs for which the run was to train."""
        return (self.config.get("trainer") or {}).get("max_epochs")

    @property
    def miniature(self) -> str:
        """Why the run is smaller than the experiment that it is named after; empty if it is not."""
        scale = self.config.get("scale", 1.0)
        if scale < 1:
            return f"scale {scale:g}"
        fraction = (self.config.get("data") or {}).get("fraction", 1.0)
        if fraction < 1:
            return f"{100 * fraction:g} % of the images"
        name = self.configuration
        published_epochs = CONFIGURATIONS[name].epochs if name else None
        if published_epochs and self.epochs is not None and self.epochs < published_epochs:
            return f"{self.epochs} of {published_epochs} epochs"
        return ""

    @property
    def split(self) -> str:
        """The held-out images on which the run was scored: "test" or "validation"."""
        return split_of(self.metrics)

    @property
    def job_number(self) -> int:
        """The run's number in its sweep, which is also the first part of its folder's name."""
        number = re.match(r"\d+(?=_|$)", self.folder.name)
        job = self.about.get("job")
        return int((number[0] if number else 0) if job is None else job)

    def score(self, name: str, baseline: str = "") -> Interval | None:
        """Return a measure of the run's network or of a baseline ("PCA-10"), None if unknown."""
        key = metric_name(name, self.split, network=baseline)
        mean = self.metrics.get(key)
        return None if mean is None else Interval(mean, self.metrics.get(key + INTERVAL))


def read_run(folder: str | Path) -> Run:
    """Read a run folder; files that are absent count as empty.

    Raises:
        ValueError: If it is no folder of a run, or a file cannot be read.
    """
    folder = Path(folder)
    _check_run_folder(folder)
    about = _read_mapping(folder / "run.json")
    checks.check_about(about)
    config = _read_mapping(folder / "config.yaml")
    checks.check_config(config)
    statistic = _read_mapping(folder / "three_patches.json")
    statistic = checks.check_tables(statistic, "three_patches.json")
    checks.check_statistic(statistic)
    return Run(
        folder,
        about,
        with_current_names(
            checks.check_numbers(_read_mapping(folder / "metrics.json"), "metrics.json")
        ),
        config,
        read_curves(folder / "metrics.csv"),
        statistic,
        checks.check_tables(_read_mapping(folder / "latent.json"), "latent.json"),
    )


def _check_run_folder(folder: Path) -> None:
    """Refuse a folder that no run has written.

    Raises:
        ValueError: If it is absent, a sweep's, or another.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder")
    if any((folder / name).exists() for name in RECORDS):
        return
    jobs = sorted(record.parent.name for record in folder.glob("*/run.json"))
    if jobs:
        raise ValueError(
            f"{folder} is a sweep: its runs are in the folders in it, such as {jobs[0]}"
        )
    raise ValueError(f"{folder}: there is no run in that folder (no run.json)")


def _read_or_explain(folder: Path) -> Run:
    """Read a run folder; of one that cannot be read, only the reason is known."""
    try:
        return read_run(folder)
    except Exception as error:  # damaged files make readers raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        return Run(folder, {"status": f"unreadable: {reason}"}, {}, {}, {}, {}, {})


def _read_mapping(path: Path) -> dict[str, Any]:
    """Read a JSON or YAML file; an absent file is an empty mapping.

    Raises:
        ValueError: If the file holds no mapping.
    """
    if not path.exists():
        return {}
    content = read_yaml(path) if path.suffix == ".yaml" else read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no mapping")
    return content


def read_curves(path: Path) -> dict[str, Curve]:
    """Read the points (epoch, value) of all measures, if there are any."""
    if not path.exists():
        return {}
    rows = read_csv(path)
    keys = [key for key in (rows[0] if rows else {}) if is_measured(str(key))]
    curves = {
        key: [(float(row["epoch"]), float(row[key])) for row in rows if row.get(key)]
        for key in keys
    }
    return {key: points for key, points in curves.items() if points}


def read_runs(folder: Path) -> list[Run]:
    """Read all runs in the subfolders of a sweep, in the order of their job numbers."""
    runs = [_read_or_explain(record.parent) for record in folder.glob("*/run.json")]
    return sorted(runs, key=lambda run: (run.job_number, run.folder.name))


def find_runs(folder: Path) -> list[Run]:
    """Read the run in a folder, or all runs below it, with the jobs that ended before they began.

    Raises:
        ValueError: If there is none.
    """
    if not folder.is_dir():
        raise ValueError(f"runs={folder}: there is no such folder")
    folders = {record.parent for record in folder.rglob("run.json")}
    # A job whose config was refused leaves its log and nothing else.
    folders |= {log.parent for log in folder.rglob("train.log")}
    if not folders:
        raise ValueError(f"runs={folder}: there is no run in that folder (no run.json)")
    runs = [_read_or_explain(run_folder) for run_folder in folders]
    return sorted(runs, key=lambda run: (run.folder.parent, run.job_number, run.folder.name))
