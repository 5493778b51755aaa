"""What the latent codes of finished runs know, as one table of a report."""

from collections.abc import Sequence

from stm_experiments.reporting.result_table import Cell, Table, embolden, number
from stm_experiments.reporting.runs import Run

# Heading, key of latent.json, whether larger is better.
MEASURES = (
    ("probe, one patch", "single/probe", True),
    ("probe, pooled", "pooled/probe", True),
    ("nearest codes, pooled", "pooled/knn", True),
    ("k-means ARI, pooled", "pooled/ari", True),
    ("R² of the tilt, pooled", "pooled/r2_tilt", True),
    ("change by a shift of 1 px", "invariance/shift_1", False),
    ("change by quarter turns", "invariance/turns", False),
    ("guessing", "chance", None),
)


def latent_knowledge(runs: Sequence[Run]) -> Table:
    """A row per run on several lattices and network compared there, from its latent.json."""
    headings = ("lattice", "run", "codes of", *(heading for heading, *_ in MEASURES))
    table = Table("latent_knowledge", headings, [])
    for run in runs:
        if not run.finished:
            continue
        rows = []
        for network, measured in run.latent.items():
            cells = [Cell(run.lattice), Cell(run.label), Cell(network)]
            rows.append([*cells, *(number(measured.get(key), 3) for _, key, _ in MEASURES)])
        for column, (_, _, larger) in enumerate(MEASURES, 3):
            if larger is not None:
                embolden(rows, column, smallest=not larger)
        table.rows.extend(rows)
    return table
