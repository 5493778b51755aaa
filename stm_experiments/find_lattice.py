"""The command ``stm-find-lattice``: find the lattice of images."""

from omegaconf import DictConfig

from stm_experiments.app.launching import launch


def run(cfg: DictConfig) -> None:
    """Import the recipe, which takes seconds, only when its config is composed."""
    from stm_experiments.recipes.find_lattice import find_lattices

    find_lattices(cfg)


def main() -> None:
    """Run the command ``stm-find-lattice``."""
    launch(run, "find_lattice")


if __name__ == "__main__":
    main()
