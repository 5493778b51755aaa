"""The command ``stm-export``: write a trained network for other programs."""

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> None:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.export import write_export

    write_export(cfg)


def main() -> None:
    """Run the command ``stm-export``."""
    launch(run, "export")


if __name__ == "__main__":
    main()
