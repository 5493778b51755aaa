"""What the command lines of benchmarks with a folder of results have in common."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from stm_experiments.benchmarks.printing import printed_table, wide_console
from stm_experiments.core.files import atomic_write_text
from stm_experiments.reporting.result_table import ResultTable, to_csv


class Writer:
    """Prints tables and writes them as CSV to a new folder."""

    def __init__(self, folder: Path, console: Console) -> None:
        folder.mkdir(parents=True, exist_ok=False)
        self.folder, self.console = folder, console

    def __call__(self, table: ResultTable, title: str, caption: str = "", block: int = 1) -> None:
        """Write and print one table; the arguments are those of ``printed_table``."""
        path = self.folder / f"{table.name}.csv"
        atomic_write_text(path, to_csv(table))
        self.console.print(printed_table(table, title, caption, block))


def run_benchmark(
    name: str, out: str | None, work: Callable[[Path, Console], None], width: int
) -> None:
    """Run a benchmark, print its folder and its seconds, and refuse wrong options in a sentence.

    Args:
        name: Of the benchmark.
        out: Folder of the results; None: outputs/<name>_<time>.
        work: Makes the folder, scores, prints and writes.
        width: Least columns of the console.
    """
    folder = Path(out or time.strftime(f"outputs/{name}_%Y-%m-%d_%H-%M-%S"))
    console, start = wide_console(width), time.perf_counter()
    try:
        work(folder, console)
    except (ValueError, FileExistsError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(1)
    console.print(f"{folder}: {time.perf_counter() - start:.0f} s", highlight=False)
