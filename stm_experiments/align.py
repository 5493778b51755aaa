"""The command ``stm-align``: align repeated frames, or both traces of a scan, and compare them."""

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> None:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.align import align

    align(cfg)


def main() -> None:
    """Run the command ``stm-align``."""
    launch(run, "align")


if __name__ == "__main__":
    main()
