"""The command ``stm-reconstruct``: denoise scans."""

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> None:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.reconstruct import reconstruct

    reconstruct(cfg)


def main() -> None:
    """Run the command ``stm-reconstruct``."""
    launch(run, "reconstruct")


if __name__ == "__main__":
    main()
