"""The command ``stm-evaluate``: score trained models on any data."""

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> None:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.evaluate import evaluate

    evaluate(cfg)


def main() -> None:
    """Run the command ``stm-evaluate``."""
    launch(run, "evaluate")


if __name__ == "__main__":
    main()
