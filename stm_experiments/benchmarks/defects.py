"""Point defects found before and after denoising: precision, recall and F1 against the truth.

    python -m stm_experiments.benchmarks.defects --models RowMedian denoiser RowMedian+denoiser
    python -m stm_experiments.benchmarks.defects --image scan.sxm --models denoiser

Simulated surfaces with defects under a noise, before and after each model: a shipped one, a
checkpoint or a baseline; a+b is a, then b. A found defect is right within 0.4 lattice constants of
a true one of the same sign. With --image, the same picture of a file, whose truth nobody knows.
"""

import argparse
import sys
import time
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from stm_experiments import models
from stm_experiments.benchmarks.printing import printed_table
from stm_experiments.benchmarks.quality.scores import BASELINES
from stm_experiments.core.seeds import seed_of
from stm_experiments.figures import save
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


def nets_of(name: str) -> list[Network]:
    """The networks that a name stands for.

    Raises:
        ValueError: If there is no such model.
    """
    parts = name.split("+")
    return [getattr(models, x)() if x in BASELINES else checkpoint.load(x) for x in parts]


def before_and_after(scan: Scan, chains: dict[str, list[Network]]) -> dict[str, Scan]:
    """The scan as it is, and after each chain of models."""
    return {RAW: scan, **{name: reduce(denoise, nets, scan) for name, nets in chains.items()}}


def inspected(scans: dict[str, Scan], prefix: str = "") -> dict[str, DefectPanel]:
    """Each scan with the defects found in it."""
    panels = {}
    for name, scan in scans.items():
        found = find_point_defects(scan.data, scan.mask)
        bright = int(found.bright.sum())
        title = f"{prefix}{name}\n{bright} bright, {len(found.bright) - bright} dark"
        panels[name] = DefectPanel(title, np.where(scan.mask, scan.data, np.nan), found)
    return panels


def benchmark(
    chains: dict[str, list[Network]], lattice: str, noise: str, images: int, size: int
) -> tuple[list[list[Cell]], list[DefectPanel], np.ndarray]:
    """A lattice's rows of the table; the panels and the true positions of its first image."""
    kind, strengths = LATTICES[lattice], replace(NOISES[noise], defects=DEFECTS)
    sums: dict[str, dict[str, DetectionCounts]] = {}
    for index in track(range(images), lattice):
        seed = seed_of("defects", lattice, index)
        batch = simulate([kind], [seed], strengths, PRESETS["physical"], size)
        place, number_of = (batch.truth[f"defect_{x}"][0].numpy() for x in ("position", "kind"))
        there = (number_of > 0) & inside_border(place, (size, size))
        place, bright = place[there], np.isin(number_of[there], BRIGHT_KINDS)
        scans = before_and_after(as_scan(batch.noisy[0, 0]), chains)
        panels = inspected({**scans, CLEAN: as_scan(batch.clean[0, 0])}, f"{lattice}, ")
        for name, panel in panels.items():
            counts = count_detections(panel.defects, place, bright, RADIUS * kind.spread)
            before = sums.setdefault(name, dict.fromkeys(SIGNS, DetectionCounts(0, 0, 0)))
            sums[name] = {sign: before[sign].plus(counts[sign]) for sign in SIGNS}
        if index == 0:
            first = list(panels.values()), place
    rows = []
    for name, totals in sums.items():
        cells = [Cell(lattice), Cell(name)]
        for each in totals.values():
            cells += [number(x, 2) for x in (each.precision, each.recall, each.f1)]
            cells += [number(each.detected, 0)]
        rows.append([*cells, number(totals["all"].true, 0)])
    for column in (4, 8, 12):
        embolden(rows[:-1], column, smallest=False)
    return rows, *first


def run(given: argparse.Namespace, console: Console) -> None:
    """Simulates or reads, looks for defects, prints, draws.

    Raises:
        ValueError: If something that was asked for does not exist.
    """
    if given.images < 1:
        raise ValueError("--images is at least 1")
    chains = {name: nets_of(name) for name in given.models}
    (folder := Path(given.out)).mkdir(parents=True, exist_ok=False)
    if given.image:
        scan = prepare(as_scan(given.image), given.prepare)
        panels = list(inspected(before_and_after(scan, chains)).values())
        save(point_defect_sheet([panels], [None], Path(given.image).name), folder / "defects.png")
        console.print("\n\n".join(panel.title for panel in panels), highlight=False)
    else:
        columns = [f"{sign} {x}" for sign in SIGNS for x in ("P", "R", "F1", "found")]
        settings = given.noise, given.images, given.size
        blocks, sheets, truths = zip(
            *(benchmark(chains, lattice, *settings) for lattice in given.lattices), strict=True
        )
        rows = [row for block in blocks for row in block]
        table = ResultTable("defects", ("lattice", "", *columns, "true"), rows)
        console.print(printed_table(table, f"Point defects, noise={given.noise}", block=1))
        (folder / "defects.csv").write_text(to_csv(table), encoding="utf-8")
        sheet = point_defect_sheet(sheets, truths, f"Point defects, noise={given.noise}")
        save(sheet, folder / "defects.png")
    console.print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["denoiser"], help="a+b: a, then b")
    parser.add_argument("--lattices", nargs="+", default=WAVES, choices=LATTICES)
    parser.add_argument("--noise", default="stripes", choices=NOISES, help="but its defects")
    parser.add_argument("--images", type=int, default=4, help="per lattice")
    parser.add_argument("--size", type=int, default=257, help="of simulated images, px")
    parser.add_argument("--image", help="a scan or picture instead of simulated ones")
    parser.add_argument("--prepare", nargs="*", default=["plane"], help="of --image, before all")
    parser.add_argument("--out", default=time.strftime("outputs/defects_%Y-%m-%d_%H-%M-%S"))
    try:
        run(parser.parse_args(), Console(width=180))
    except (ValueError, FileExistsError) as error:
        print(f"defects: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
