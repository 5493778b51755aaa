"""The command ``stm-report``: write one page that compares runs."""

from pathlib import Path

from omegaconf import OmegaConf

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.report import report

    return report


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
    launch(recipe, "report")


if __name__ == "__main__":
    main()
