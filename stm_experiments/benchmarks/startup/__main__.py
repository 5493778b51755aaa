"""CPU seconds of imports and of commands, each in a process of its own.

    python -m stm_experiments.benchmarks.startup

The rows take turns, so that a busy machine slows all of them alike. CPU seconds are those of the
process and of all that it starts; memory is the peak of its resident set. This process imports
nothing large: a process that is started counts the memory of the one that started it as its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

from stm_experiments.core.files import write_json

PACKAGE = Path(__file__).parents[2]
DOORS = sorted(path.stem for path in PACKAGE.glob("[!_]*.py"))
SIZES = (512, 1024, 2048)  # of the scans to denoise, px


def commands(folder: Path) -> dict[str, list[str]]:
    """Return the arguments of Python for each row; scans are simulated into the folder."""
    rows = {
        "python": ["-c", ""],
        "import torch": ["-c", "import torch"],
        "import stm_experiments": ["-c", "import stm_experiments"],
    }
    rows |= {f"{door} --help": ["-m", f"stm_experiments.{door}", "--help"] for door in DOORS}
    out = "hydra.run.dir=" + str(folder / "out_${now:%H-%M-%S-%f}")
    for size in SIZES:
        simulation = ["lattice=fcc", f"size={size}", "save=tiff", f"hydra.run.dir={folder}/{size}"]
        run_python(["-m", "stm_experiments.simulate", *simulation])
        image = f"image={folder}/{size}/fcc_0_noisy.tiff"
        rows[f"show, {size} px"] = ["-m", "stm_experiments.show", image, out]
        rows[f"reconstruct, {size} px"] = ["-m", "stm_experiments.reconstruct", image, out]
    rows["simulate lattice=sc"] = ["-m", "stm_experiments.simulate", "lattice=sc", out]
    return rows


class Cost(NamedTuple):
    """What a process took.

    Attributes:
        cpu_s: CPU seconds, those of its children included.
        peak_mb: Peak of its resident memory, MB.
    """

    cpu_s: float
    peak_mb: float


def run_python(arguments: list[str]) -> Cost:
    """Run Python with arguments and return what it took.

    Raises:
        RuntimeError: If it fails.
    """
    command = [sys.executable, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} failed")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main() -> None:
    """Run the rows in turns and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each row")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = commands(Path(folder))
        turns = [
            {name: run_python(row) for name, row in rows.items()} for _ in range(options.repeats)
        ]
    costs = {name: Cost(*map(median, zip(*(t[name] for t in turns), strict=True))) for name in rows}
    print(f"{'median of ' + str(options.repeats):24}   CPU s   peak MB")
    for name, cost in costs.items():
        print(f"{name:24}{cost.cpu_s:8.2f}{cost.peak_mb:10.0f}")
    if options.json:
        write_json(options.json, {name: cost._asdict() for name, cost in costs.items()})


if __name__ == "__main__":
    main()
