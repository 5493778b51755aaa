"""The command ``stm-simulate``: draw simulated topographs."""

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> None:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.simulate import simulate_sheet

    simulate_sheet(cfg)


def main() -> None:
    """Run the command ``stm-simulate``."""
    launch(run, "simulate")


if __name__ == "__main__":
    main()
