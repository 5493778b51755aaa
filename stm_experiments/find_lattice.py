"""The command ``stm-find-lattice``: find the lattice of images."""

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.find_lattice import find_lattices

    return find_lattices


def main() -> None:
    """Run the command ``stm-find-lattice``."""
    launch(recipe, "find_lattice")


if __name__ == "__main__":
    main()
