"""The command ``stm-find-sites``: find the sites of images through a trained rVAE."""

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> None:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.find_sites import find_sites

    find_sites(cfg)


def main() -> None:
    """Run the command ``stm-find-sites``."""
    launch(run, "find_sites")


if __name__ == "__main__":
    main()
