"""The command ``stm-simulate``: draw simulated topographs."""

import sys
from types import ModuleType
from typing import Any

from stm_experiments.app.launching import Task, launch


def recipe() -> Task:
    """Import what the command does, which takes seconds."""
    from stm_experiments.recipes.simulate import simulate_sheet

    return simulate_sheet


class Door(ModuleType):
    """A command that can be called like the function of its name.

    ``import stm_experiments.simulate`` puts this module in the place of the function
    ``stm_experiments.simulate``.
    """

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Simulate images; see the function."""
        from stm_experiments.simulator import simulate

        return simulate(*args, **settings)


sys.modules[__name__].__class__ = Door


def main() -> None:
    """Run the command ``stm-simulate``."""
    launch(recipe, "simulate")


if __name__ == "__main__":
    main()
