"""The command ``stm-find-defects``: find the point defects of images."""

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> None:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.find_defects import find_defects

    find_defects(cfg)


def main() -> None:
    """Run the command ``stm-find-defects``."""
    launch(run, "find_defects")


if __name__ == "__main__":
    main()
