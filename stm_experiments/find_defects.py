"""The command ``stm-find-defects``: find the point defects of images."""

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.find_defects import find_defects

    return find_defects


def main() -> None:
    """Run the command ``stm-find-defects``."""
    launch(recipe, "find_defects")


if __name__ == "__main__":
    main()
