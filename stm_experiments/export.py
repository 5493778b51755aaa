"""The command ``stm-export``: write a trained network for other programs."""

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.export import write_export

    return write_export


def main() -> None:
    """Run the command ``stm-export``."""
    launch(recipe, "export")


if __name__ == "__main__":
    main()
