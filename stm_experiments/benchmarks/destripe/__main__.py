"""What stripe removers are worth: repaired decibels, changes elsewhere, waves, severe damage.

    python -m stm_experiments.benchmarks.destripe
    python -m stm_experiments.benchmarks.destripe --models outputs/.../checkpoints/best.ckpt

Nothing is trained here. The simulated images have seeds of their own, which no training uses, and
are shown apart for lattices on which the first model was trained and for those that it never saw.
The clean images span [-1, 1]; decibels are 10 log10(4 / MSE), averaged over images. Where white
noise lies on the whole image, it limits what any stripe remover can reach over the whole image:
so the pixels in the stripes are scored apart, and each method once more with the shipped denoiser
after it. Everything is printed, and written as CSV and pictures to a new folder.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from stm_experiments.benchmarks.destripe.cases import (
    AFTER,
    KINDS,
    SEVERITIES,
    WAVES,
    WIDTHS,
    Case,
    Kind,
    Method,
    methods,
    psnr,
    satellites,
    striped,
)
from stm_experiments.benchmarks.destripe.figures import examples_figure, widths_figure
from stm_experiments.benchmarks.quality.scores import printed
from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.figures.canvas import save
from stm_experiments.metrics.whole_image import change_outside
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Repairing
from stm_experiments.reporting.result_table import Cell, ResultTable, embolden, number, to_csv
from stm_experiments.restoration.whole_network import whole_image_network
from stm_experiments.simulator import LATTICES

QUICK = ("fcc", "zrte3", "tas2", "bcc", "hex2", "srtio3")  # half of them never trained on
Groups = Mapping[str, Sequence[str]]
Curves = dict[tuple[str, str], list[tuple[float, float | None]]]  # (group, method) -> each width


def width_scores(
    kind: Kind, tried: Mapping[str, Method], groups: Groups, images: int, size: int
) -> tuple[Curves, Curves]:
    """Decibels of every method at every width of the stripes: in the whole image, and in them."""
    everywhere: Curves = {}
    inside: Curves = {}
    for width in track(WIDTHS, kind.title):
        for group, lattices in groups.items():
            numbers = [(lattice, index) for lattice in lattices for index in range(images)]
            cases = [striped(*each, kind.noise(width), size) for each in numbers]
            for name, method in tried.items():
                outputs = [method(case.noisy) for case in cases]
                both = list(zip(outputs, cases, strict=True))
                own = [psnr(output, case.clean) for output, case in both]
                there = [psnr(output, case.clean, case.stripes) for output, case in both]
                everywhere.setdefault((group, name), []).append(mean_and_interval(own))
                inside.setdefault((group, name), []).append(mean_and_interval(there))
    return everywhere, inside


def width_table(name: str, everywhere: Curves, inside: Curves) -> ResultTable:
    """Both kinds of decibels, methods down and widths across."""
    places = ("", " in stripes")
    columns = ("lattices", "", *(f"{width} px{place}" for place in places for width in WIDTHS))
    table = ResultTable(name, columns, [])
    for group in dict.fromkeys(group for group, _ in everywhere):
        for denoised in (False, True):
            block = []
            for (own, method), scores in everywhere.items():
                if own == group and method.endswith(AFTER) == denoised:
                    both = [*scores, *inside[own, method]]
                    texts = [number(mean, 1).text for mean, _ in both]  # the CSV has intervals
                    cells = [
                        number(mean, 1, half)._replace(text=text)
                        for (mean, half), text in zip(both, texts, strict=True)
                    ]
                    block.append([Cell(group), Cell(method), *cells])
            for column in range(2, len(columns) if block else 0):
                embolden(block, column, smallest=False)
            table.rows.extend(block)
    return table


def wave_table(tried: Mapping[str, Method], images: int, size: int) -> ResultTable:
    """How much of charge-density waves is left, and what happens outside of the stripes."""
    headings = (
        "",
        *(f"{lattice} wave" for lattice in WAVES),
        "largest change outside",
        "changed px",
    )
    table = ResultTable("waves", headings, [])
    noise = KINDS["lost"].noise(4)
    cases = [striped(lattice, index, noise, size) for lattice in WAVES for index in range(images)]
    for name, method in tried.items():
        outputs = [method(case.noisy) for case in cases]
        both = list(zip(outputs, cases, strict=True))
        row = [Cell(name)]
        for lattice in WAVES:
            values = [satellites(output, case) for output, case in both if case.lattice == lattice]
            row.append(number(*mean_and_interval(values)[:1], 3, mean_and_interval(values)[1]))
        largest = max(change_outside(output, case.noisy, case.stripes) for output, case in both)
        changed = [
            float(((output != case.noisy) & ~case.stripes).float().mean()) for output, case in both
        ]
        table.rows.append([*row, number(largest, 3), number(sum(changed) / len(changed), 5)])
    return table


def severity_table(net: Repairing, groups: Groups, images: int, size: int) -> ResultTable:
    """What a network that knows its damage does of minor, moderate and severe one."""
    headings = (
        "damage", "lattices", "found", "repaired", "left", "rms error, repaired",
        "rms uncertainty", "rms error, left", "rms uncertainty, left", "left: changed px",
    )  # fmt: skip
    table = ResultTable("severity", headings, [])
    for severity, noise in SEVERITIES.items():
        for group, lattices in groups.items():
            rows = []
            for lattice in lattices:
                for index in range(images):
                    rows.append(_severity(net, striped(lattice, index, noise, size)))
            columns = [mean_and_interval([row[i] for row in rows])[0] for i in range(len(rows[0]))]
            table.rows.append([Cell(severity), Cell(group), *(number(x, 3) for x in columns)])
    return table


def _severity(net: Repairing, case: Case) -> list[float]:
    """Shares of the damaged pixels, and root mean square errors and uncertainties."""
    repair = net.repair(case.noisy[None, None])
    repaired, left = repair.repaired[0, 0], repair.left[0, 0]
    error, deviation = repair.output[0, 0] - case.clean, repair.deviation[0, 0]

    def rms(values: torch.Tensor) -> float:
        return float(values.square().mean().sqrt())

    shares = [
        float(part[case.stripes].float().mean()) for part in (repaired | left, repaired, left)
    ]
    mended, lost = repaired & case.stripes, left & case.stripes
    return [
        *shares,
        *(rms(values[mended]) for values in (error, deviation)),
        *(rms(values[lost]) for values in (error, deviation)),
        float((repair.output[0, 0] != case.noisy)[left].float().sum()),
    ]


def run(given: argparse.Namespace, console: Console) -> None:
    """Scores, prints, writes.

    Raises:
        ValueError: If something that was asked for does not exist.
    """
    start = time.perf_counter()
    unknown = set(given.lattices) - set(LATTICES)
    if unknown:
        raise ValueError(f"lattices {', '.join(sorted(unknown))} are not known")
    if given.images < 1 or given.size < 64:
        raise ValueError("--images is at least 1, --size at least 64 px")
    nets = {path: checkpoint.load(path) for path in given.models}
    first: Any = nets[given.models[0]] if given.models else None
    known = set(first.card.lattice) if first else set()
    groups = {
        "trained on": [lattice for lattice in given.lattices if lattice in known],
        "never seen": [lattice for lattice in given.lattices if lattice not in known],
    }
    groups = {name: lattices for name, lattices in groups.items() if lattices}
    alone, after = methods(nets), methods(nets, denoised=True)
    folder = Path(given.out)
    folder.mkdir(parents=True, exist_ok=False)

    def keep(table: ResultTable, title: str, caption: str = "", block: int = 1) -> None:
        (folder / f"{table.name}.csv").write_text(to_csv(table), encoding="utf-8")
        console.print(printed(table, title, caption, block))

    names = "; ".join(f"{group}: {', '.join(lattices)}" for group, lattices in groups.items())
    console.print(f"{names}; {given.images} image(s) of each, {given.size} px", highlight=False)
    with torch.inference_mode():
        for name, kind in KINDS.items():
            tried = {**alone, **after} if kind.white else alone
            everywhere, inside = width_scores(kind, tried, groups, given.images, given.size)
            keep(width_table(name, everywhere, inside), f"PSNR [dB]: {kind.title}")
            save(widths_figure(kind.title, everywhere, inside), folder / f"{name}.png")
        caption = (
            "Amplitude at the wave's peaks over the clean image's, stripes 4 px wide, white noise; "
            "change where there is no stripe, on [-1, 1], and share of such pixels."
        )
        keep(wave_table(alone, given.images, given.size), "Charge-density waves", caption)
        for path, net in nets.items():
            whole = whole_image_network(net)
            if isinstance(whole, Repairing):
                table = severity_table(whole, groups, given.images, given.size)
                keep(table, f"Minor, moderate and severe damage: {path}")
        cases = [striped("zrte3", 0, noise, given.size) for noise in SEVERITIES.values()]
        save(
            examples_figure(dict(zip(SEVERITIES, cases, strict=True)), alone),
            folder / "examples.png",
        )
    console.print(f"{folder}: {time.perf_counter() - start:.0f} s", highlight=False)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["destripe"], help="checkpoints, or shipped")
    parser.add_argument("--lattices", nargs="+", default=QUICK, help="of the simulation")
    parser.add_argument("--images", type=int, default=1, help="per lattice and case")
    parser.add_argument("--size", type=int, default=161, help="of the images, px")
    parser.add_argument("--out", help="folder to be made; default: outputs/destripe_<time>")
    given = parser.parse_args()
    given.out = given.out or time.strftime("outputs/destripe_%Y-%m-%d_%H-%M-%S")
    console = Console()
    if not console.is_terminal or console.width < 180:
        console = Console(width=180)  # the tables are wide
    try:
        run(given, console)
    except (ValueError, FileExistsError) as error:
        print(f"destripe: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
