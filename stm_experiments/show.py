"""The command ``stm-show``: level and draw scans."""

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.show import show

    return show


def main() -> None:
    """Run the command ``stm-show``."""
    launch(recipe, "show")


if __name__ == "__main__":
    main()
