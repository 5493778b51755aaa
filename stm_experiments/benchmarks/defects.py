"""Point defects found before and after denoising: precision, recall and F1 against the truth.

    python -m stm_experiments.benchmarks.defects --models RowMedian denoiser RowMedian+denoiser
    python -m stm_experiments.benchmarks.defects --image scan.sxm --models denoiser

Simulated surfaces with defects under a noise, before and after each model: a shipped one, a
checkpoint or a baseline; a+b is a, then b. A detected defect is right within 0.4 lattice constants
of a true one of the same sign. With --image, the same picture of a file, whose truth is unknown.
"""

import argparse
import sys
import time
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from stm_experiments import models
from stm_experiments.benchmarks.printing import printed_table
from stm_experiments.benchmarks.quality.scores import BASELINES
from stm_experiments.core.arrays import Points
from stm_experiments.core.files import atomic_write_text
from stm_experiments.core.seeds import seed_of
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.point_defect_sheet import DefectPanel, point_defect_sheet
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.point_defects import (
    DetectionCounts,
    count_detections,
    find_point_defects,
    inside_border,
)
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.reporting.result_table import Cell, ResultTable, embolden, number, to_csv
from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.measured import as_scan
from stm_experiments.restoration.preparation import prepare
from stm_experiments.simulator import LATTICES, NOISES, PRESETS, DefectCode, Defects, simulate

DEFECTS = Defects(vacancies=0.01, adatoms=0.005, substitutions=0.01, contrast=(0.3, 0.5))
BRIGHT_KINDS = (DefectCode.ADATOM, DefectCode.BRIGHTER)
RADIUS = 0.4  # lattice constants
RAW, CLEAN = "before", "without noise"
SIGNS, WAVES = ("bright", "dark", "all"), ["zrte3", "tas2", "tise2"]


class LatticeResult(NamedTuple):
    """The results on the images of one lattice.

    Attributes:
        rows: Of the table.
        panels: The first image before and after each chain, with the detected defects.
        truth: Positions (row, column) of its true defects, [T, 2] px.
    """

    rows: list[list[Cell]]
    panels: list[DefectPanel]
    truth: Points


class SimulatedScan(NamedTuple):
    """A simulated scan and its defects.

    Attributes:
        noisy: The scan.
        clean: The scan without noise.
        position: (row, column) of its defects, [T, 2] px.
        bright: Whether they are bright, [T].
    """

    noisy: Scan
    clean: Scan
    position: Points
    bright: NDArray[np.bool_]


Chains = dict[str, list[Network]]


def load_chain(name: str) -> list[Network]:
    """Load the networks that a name stands for.

    Raises:
        ValueError: If there is no such model.
    """
    parts = name.split("+")
    return [getattr(models, x)() if x in BASELINES else checkpoint.load(x) for x in parts]


def before_and_after(scan: Scan, chains: Chains) -> dict[str, Scan]:
    """Return the scan as it is, and after each chain of models."""
    return {RAW: scan, **{name: reduce(denoise, nets, scan) for name, nets in chains.items()}}


def detect(scans: dict[str, Scan], prefix: str = "") -> dict[str, DefectPanel]:
    """Return each scan with the defects found in it."""
    panels = {}
    for name, scan in scans.items():
        defects = find_point_defects(scan)
        bright = int(defects.bright.sum())
        title = f"{prefix}{name}\n{bright} bright, {len(defects.bright) - bright} dark"
        shown = np.where(scan.mask, scan.data, np.nan)
        panels[name] = DefectPanel(title, shown, defects, scan.pixel_size, scan.unit)
    return panels


def simulate_defects(lattice: str, noise: str, index: int, size: int) -> SimulatedScan:
    """Simulate one scan with defects."""
    strengths = replace(NOISES[noise], defects=DEFECTS)
    seed = seed_of("defects", lattice, index)
    batch = simulate([LATTICES[lattice]], [seed], strengths, PRESETS["physical"], size)
    position, code = (batch.truth[f"defect_{x}"][0].numpy() for x in ("position", "kind"))
    visible = (code > 0) & inside_border(position, (size, size))
    return SimulatedScan(
        as_scan(batch.noisy[0, 0]),
        as_scan(batch.clean[0, 0]),
        position[visible],
        np.isin(code[visible], BRIGHT_KINDS),
    )


def benchmark(chains: Chains, lattice: str, options: argparse.Namespace) -> LatticeResult:
    """Compare the defects that are found in images of a lattice with the truth."""
    sums: dict[str, dict[str, DetectionCounts]] = {}
    panels_of_first, truth_of_first = [], np.empty((0, 2))
    for index in track(range(options.images), lattice):
        image = simulate_defects(lattice, options.noise, index, options.size)
        scans = {**before_and_after(image.noisy, chains), CLEAN: image.clean}
        panels = detect(scans, f"{lattice}, ")
        radius = RADIUS * LATTICES[lattice].spread
        for name, panel in panels.items():
            counts = count_detections(panel.defects, image.position, image.bright, radius)
            before = sums.setdefault(name, dict.fromkeys(SIGNS, DetectionCounts(0, 0, 0)))
            sums[name] = {sign: before[sign].plus(counts[sign]) for sign in SIGNS}
        if index == 0:
            panels_of_first, truth_of_first = list(panels.values()), image.position
    rows = []
    for name, totals in sums.items():
        cells = [Cell(lattice), Cell(name)]
        for count in totals.values():
            cells += [number(x, 2) for x in (count.precision, count.recall, count.f1)]
            cells += [number(count.detected, 0)]
        rows.append([*cells, number(totals["all"].true, 0)])
    for column in (4, 8, 12):
        embolden(rows[:-1], column, smallest=False)
    return LatticeResult(rows, panels_of_first, truth_of_first)


def compare_models(options: argparse.Namespace, console: Console) -> None:
    """Simulate scans or read one, find defects, print and draw them.

    Raises:
        ValueError: If something that an option names does not exist.
    """
    if options.images < 1:
        raise ValueError("--images is at least 1")
    chains = {name: load_chain(name) for name in options.models}
    (folder := Path(options.out)).mkdir(parents=True, exist_ok=False)
    if options.image:
        scan = prepare(as_scan(options.image), options.prepare)
        panels = list(detect(before_and_after(scan, chains)).values())
        sheet = point_defect_sheet([panels], [None], Path(options.image).name)
        save_figure(sheet, folder / "defects.png")
        console.print("\n\n".join(panel.title for panel in panels), highlight=False)
    else:
        columns = [f"{sign} {x}" for sign in SIGNS for x in ("P", "R", "F1", "found")]
        results = [benchmark(chains, lattice, options) for lattice in options.lattices]
        rows = [row for result in results for row in result.rows]
        table = ResultTable("defects", ("lattice", "", *columns, "true"), rows)
        title = f"Point defects, noise={options.noise}"
        console.print(printed_table(table, title, block=1))
        atomic_write_text(folder / "defects.csv", to_csv(table))
        panels_of_all = [result.panels for result in results]
        sheet = point_defect_sheet(panels_of_all, [result.truth for result in results], title)
        save_figure(sheet, folder / "defects.png")
    console.print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["surface_denoiser"], help="a+b: a, then b")
    parser.add_argument("--lattices", nargs="+", default=WAVES, choices=LATTICES)
    parser.add_argument("--noise", default="stripes", choices=NOISES, help="except its defects")
    parser.add_argument("--images", type=int, default=4, help="per lattice")
    parser.add_argument("--size", type=int, default=257, help="of simulated images, px")
    parser.add_argument("--image", help="a scan or picture instead of simulated ones")
    parser.add_argument(
        "--prepare", nargs="*", default=["plane"], help="steps for --image, before models"
    )
    parser.add_argument("--out", default=time.strftime("outputs/defects_%Y-%m-%d_%H-%M-%S"))
    try:
        compare_models(parser.parse_args(), Console(width=180))
    except (ValueError, FileExistsError) as error:
        print(f"defects: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
