"""The command ``stm-train``: train an autoencoder on patches of images, and assess it."""

from pathlib import Path

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> float:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.train import train

    return train(cfg)


def print_comparison(sweep: Path) -> None:
    """Print the table of a sweep's jobs."""
    from stm_experiments.app import comparison

    comparison.print_comparison(sweep)


def main() -> None:
    """Run the command ``stm-train``; a sweep ends with a table of its jobs."""
    launch(run, "train", after_sweep=print_comparison)


if __name__ == "__main__":
    main()
