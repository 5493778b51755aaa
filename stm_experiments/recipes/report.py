"""One page that compares runs with each other and with the paper."""

from pathlib import Path

from omegaconf import DictConfig

from stm_experiments.app.job import job_folder
from stm_experiments.app.settings import resolve
from stm_experiments.core.texts import printable
from stm_experiments.reporting.report import write_report
from stm_experiments.reporting.runs import find_runs


def report(cfg: DictConfig) -> None:
    """Read every run folder below ``runs`` and write the page and its tables.

    Args:
        cfg: ``conf/report.yaml`` as composed.

    Raises:
        ValueError: If there is no run.
    """
    settings = resolve(cfg)
    source = Path(settings["runs"])
    runs = find_runs(source)
    page = write_report(runs, source, job_folder())
    finished = sum(run.finished for run in runs)
    print(printable(f"{page}: {finished} of {len(runs)} runs finished"))
