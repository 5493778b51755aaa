"""The command ``stm-compare-frames``: compare repeated frames, or both traces of a scan."""

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> None:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.compare_frames import compare

    compare(cfg)


def main() -> None:
    """Run the command ``stm-compare-frames``."""
    launch(run, "compare_frames")


if __name__ == "__main__":
    main()
