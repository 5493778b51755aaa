"""How well runs tell the sites of a lattice apart, as one table of a report."""

from collections.abc import Sequence

from stm_experiments.reporting.result_table import Cell, Table, embolden, number
from stm_experiments.reporting.runs import Run

# Heading, key of metrics.json, digits, whether larger is better.
MEASURES = (
    ("ARI of site types", "sites/ari", 3, True),
    ("angle error (°)", "sites/angle_error", 1, False),
    ("variance under turns", "sites/turned", 3, False),
    ("defects (AUROC)", "sites/auroc", 3, True),
    ("vacancies", "sites/auroc_vacancy", 3, True),
    ("half a column", "sites/auroc_part_of_a_vacancy", 3, True),
    ("substitutions", "sites/auroc_substitution", 3, True),
    ("adatoms", "sites/auroc_adatom", 3, True),
)


def site_knowledge(runs: Sequence[Run]) -> Table:
    """A row per finished run that looked at sites."""
    headings = ("lattice", "network", "run", "seed", *(heading for heading, *_ in MEASURES))
    table = Table("sites", headings, [])
    for run in runs:
        if run.finished and "sites/turned" in run.metrics:
            facts = (run.lattice, run.network, run.label, str(run.config.get("seed", "")))
            measured = (number(run.metrics.get(key), digits) for _, key, digits, _ in MEASURES)
            table.rows.append([*map(Cell, facts), *measured])
    for column, (*_, larger) in enumerate(MEASURES, 4):
        embolden(table.rows, column, smallest=not larger)
    return table
