"""Kill runs at random moments, and check that they end as if nothing had happened.

    python -m stm_experiments.benchmarks.kills --kills 100
    python -m stm_experiments.benchmarks.kills --kinds cae_a pca report --kills 12

Every kill is a SIGKILL to a real process: at any time, during a moment (a step, a validation, the
writing of a checkpoint, the scoring, the logging), or before or after the n-th call that opens a
file to write, renames one or waits for the disk. A run is killed one to three times, resumed each
time, and compared with an undisturbed run: weights, optimiser, learning rates and all tables of
numbers, bit for bit. Its status must be true after each kill, and its loggers must have everything
at the end. Of a sweep the parent is killed: its jobs end with it, and the same command resumes it.
This needs ``fork``, that is Linux or macOS.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stm_experiments.benchmarks.kills.kinds import Kind, all_kinds, write_inputs
from stm_experiments.benchmarks.kills.moments import ANY_TIME, MOMENTS
from stm_experiments.benchmarks.kills.survival import Whole, run_whole, survive

MOST = 3  # kills of one run


class Totals:
    """What was killed, and what went wrong.

    Attributes:
        kills: Kills by kind and moment.
        runs: Runs by kind.
        wrong: A line for each run that ended differently.
    """

    def __init__(self) -> None:
        self.kills: Counter[tuple[str, str]] = Counter()
        self.runs: Counter[str] = Counter()
        self.wrong: list[str] = []

    def add(self, kind: Kind, kills: Counter[str], wrong: Sequence[str]) -> None:
        """Count a run that has ended."""
        self.runs[kind.name] += 1
        self.kills.update({(kind.name, moment): count for moment, count in kills.items()})
        if wrong:
            self.wrong.append(f"{kind.name}, run {self.runs[kind.name]}: {', '.join(wrong)}")

    def tables(self) -> list[Table]:
        """Return the kills by kind of run, and by moment."""
        by_kind = Table("kind of run", "runs", "kills")
        for name, runs in self.runs.items():
            count = sum(kills for (kind, _), kills in self.kills.items() if kind == name)
            by_kind.add_row(name, str(runs), str(count))
        by_moment = Table("moment of the kill", "kills")
        for name in (ANY_TIME, *MOMENTS):
            count = sum(kills for (_, moment), kills in self.kills.items() if moment == name)
            by_moment.add_row(name, str(count))
        return [by_kind, by_moment]


def kill_runs(
    kinds: Sequence[Kind], folder: Path, kills: int, minutes: float, draw: random.Random
) -> Totals:
    """Kill runs of the kinds in turn.

    Args:
        kinds: The kinds.
        folder: Folder of the runs; of those that end well, nothing is kept.
        kills: Number of kills.
        minutes: No run begins after this time.
        draw: Random numbers.
    """
    totals, wholes, begun = Totals(), dict[str, Whole](), time.monotonic()
    # A thread of the progress bar would be copied by fork.
    with Progress(auto_refresh=False) as progress:
        bar = progress.add_task("kills", total=kills)
        while totals.kills.total() < kills and time.monotonic() - begun < 60 * minutes:
            number = totals.runs.total()
            kind = kinds[number % len(kinds)]
            if kind.name not in wholes:
                wholes[kind.name] = run_whole(kind, folder / f"{kind.name}_whole" / "run")
            place = folder / f"{kind.name}_{number}"
            most = min(draw.randint(1, MOST), kills - totals.kills.total())
            result = survive(kind, wholes[kind.name], place / "run", most, draw)
            totals.add(kind, *result)
            if not result.wrong:
                shutil.rmtree(place)
            progress.update(bar, completed=totals.kills.total(), refresh=True)
    return totals


def main() -> None:
    """Kill, compare and report; exit code 1 if any run ended differently."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kinds", nargs="+", help="kinds of run (default: all)")
    parser.add_argument("--kills", type=int, default=100, help="number of kills")
    parser.add_argument("--minutes", type=float, default=60, help="stop after this time")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--folder", type=Path, help="folder of the runs (default: temporary)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder)).resolve()
    write_inputs(folder / "inputs")
    kinds = {kind.name: kind for kind in all_kinds(folder / "inputs")}
    if unknown := set(options.kinds or ()) - set(kinds):
        parser.error(f"no kinds named {', '.join(sorted(unknown))}: choose from {', '.join(kinds)}")
    chosen = [kinds[name] for name in options.kinds or kinds]
    begun, draw = time.monotonic(), random.Random(options.seed)
    totals = kill_runs(chosen, folder, options.kills, options.minutes, draw)
    console = Console()
    console.print(*totals.tables())
    console.print(
        f"{totals.kills.total()} kills in {totals.runs.total()} runs of {len(totals.runs)} kinds, "
        f"{time.monotonic() - begun:.0f} s: {len(totals.wrong)} ended differently"
    )
    if totals.wrong or not totals.kills:
        sys.exit("\n".join(totals.wrong) or "nothing was killed")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
