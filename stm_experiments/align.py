"""The command ``stm-align``: align repeated frames, or both traces of a scan, and compare them."""

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.align import align

    return align


def main() -> None:
    """Run the command ``stm-align``."""
    launch(recipe, "align")


if __name__ == "__main__":
    main()
