"""The numbers of single steps as a table: steps.csv."""

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from stm_experiments.core.files import read_csv, write_csv

FLUSHED = 100  # rows after which the file is written again


class StepTable(Logger):
    """Writes what is logged while a run trains to steps.csv, a row per step.

    A resumed run goes on in the table: rows from its first step on are removed and written anew.

    Args:
        save_dir: Folder of steps.csv.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self.path = Path(save_dir) / "steps.csv"
        self._rows: dict[int, dict[str, Any]] | None = None
        self._unwritten = 0

    @property
    def name(self) -> str:
        """Return the kind of the logger."""
        return "steps"

    @property
    def version(self) -> str:
        """Return nothing: there is one table per run."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Leave out the settings, which are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add numbers to the row of a step; final numbers, which have no step, are elsewhere."""
        if step is None:
            return
        if self._rows is None:
            self._rows = self._rows_before(step)
        self._rows.setdefault(step, {"step": step}).update(metrics)
        self._unwritten += 1
        if self._unwritten >= FLUSHED:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the table whole, so that it never ends in half a row."""
        if not self._rows or not self._unwritten:
            return
        rows = self._rows.values()
        columns = list(dict.fromkeys(["step", *(name for row in rows for name in row)]))
        cells = [[row.get(name, "") for name in columns] for row in rows]
        write_csv(self.path, columns, cells)
        self._unwritten = 0

    def finalize(self, status: str) -> None:
        """Write what is not written yet."""
        self.save()

    def _rows_before(self, step: int) -> dict[int, dict[str, Any]]:
        if not self.path.is_file():
            return {}
        rows = {int(row["step"]): dict(row) for row in read_csv(self.path)}
        return {number: row for number, row in rows.items() if number < step}
