"""The cells of the paper's experiment: a lattice and a configuration, with our runs in each."""

from collections.abc import Sequence

from stm_experiments.reporting.averages import group_by_seed
from stm_experiments.reporting.runs import Run


def runs_of_cell(runs: Sequence[Run], lattice: str, configuration: str) -> list[list[Run]]:
    """Return the finished runs of one cell of the paper's table, grouped by seed.

    There is more than one group if not only seeds differ; groups of the paper's own network come
    first.
    """
    cell = [
        run
        for run in runs
        if run.finished and run.lattice == lattice and run.configuration == configuration
    ]
    return sorted(group_by_seed(cell), key=lambda group: group[0].network != "CAE-A")
