"""The command ``stm-show``: level and draw scans."""

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> None:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.show import show

    show(cfg)


def main() -> None:
    """Run the command ``stm-show``."""
    launch(run, "show")


if __name__ == "__main__":
    main()
