"""The command ``stm-reconstruct``: denoise scans."""

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.reconstruct import reconstruct

    return reconstruct


def main() -> None:
    """Run the command ``stm-reconstruct``."""
    launch(recipe, "reconstruct")


if __name__ == "__main__":
    main()
