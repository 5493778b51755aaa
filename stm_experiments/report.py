"""One page that compares runs with each other and with the paper."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from stm_experiments.app.job import job_folder
from stm_experiments.app.launching import launch
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


def report_folder(runs: str) -> str:
    """Return the folder of the report, inside the folder of the runs.

    Raises:
        ValueError: If the runs have no folder: a typing error makes none. Or if the report's folder
            is a link.
    """
    if not Path(runs).is_dir():
        raise ValueError(f"runs={runs}: there is no such folder")
    folder = Path(runs) / "report"
    if folder.is_symlink():
        raise ValueError(f"{folder} is a link, which is not followed: remove it")
    return str(folder)


def main() -> None:
    """Run the command ``stm-report``."""
    OmegaConf.register_new_resolver("report_folder", report_folder, replace=True)
    launch(report, "report")


if __name__ == "__main__":
    main()
