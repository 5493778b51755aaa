"""The command ``stm-train``: train an autoencoder on patches of images, and assess it."""

from pathlib import Path

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.train import train

    return train


def print_comparison(sweep: Path) -> None:
    """Print the table of a sweep's jobs."""
    from stm_experiments.app import comparison

    comparison.print_comparison(sweep)


def main() -> None:
    """Run the command ``stm-train``; a sweep ends with a table of its jobs."""
    launch(recipe, "train", after_sweep=print_comparison)


if __name__ == "__main__":
    main()
