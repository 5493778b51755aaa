"""The command ``stm-evaluate``: score trained models on any data."""

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.evaluate import evaluate

    return evaluate


def main() -> None:
    """Run the command ``stm-evaluate``."""
    launch(recipe, "evaluate")


if __name__ == "__main__":
    main()
