"""The command ``stm-find-sites``: find the sites of images through a trained rVAE."""

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.find_sites import find_sites

    return find_sites


def main() -> None:
    """Run the command ``stm-find-sites``."""
    launch(recipe, "find_sites")


if __name__ == "__main__":
    main()
