"""How good whole images are: every baseline and any trained model, on each lattice and noise.

    python -m stm_experiments.benchmarks.quality
    python -m stm_experiments.benchmarks.quality --models outputs/.../checkpoints/best.ckpt

Nothing is trained here. The simulated images have seeds of their own, which no training uses; the
measures are those of ``analysis.whole_image`` and ``analysis.atoms``. Everything is printed, and
written as CSV and pictures to a new folder. What had to be left out is said, and why.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from stm_experiments.benchmarks.quality.cases import (
    Case,
    noise_of,
    published_cases,
    scaled_noise,
    simulated_case,
)
from stm_experiments.benchmarks.quality.figures import quality_figure, strength_figure
from stm_experiments.benchmarks.quality.scores import (
    CLEAN,
    LEGEND,
    Network,
    invention_table,
    load_networks,
    printed,
    score_all,
    summary,
    table_of,
)
from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.figures.canvas import save
from stm_experiments.metrics import whole_image
from stm_experiments.reporting.result_table import Cell, ResultTable, number, to_csv
from stm_experiments.simulator import CUT_LATTICES, LATTICES, NOISES

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
Work = Callable[[], Case]


def strength_curves(
    networks: dict[str, Network], lattices: list[str], images: int, size: int
) -> dict[str, dict[str, list[tuple[float, float | None]]]]:
    """Lattice -> network -> error at each strength of the paper's noise, and half its interval.

    The error is on the scale on which the clean image spans [-1, 1], or it would shrink with every
    unit of noise that the normalisation has to squeeze in.
    """
    curves: dict[str, dict[str, list[tuple[float, float | None]]]] = {}
    work = [(lattice, strength) for lattice in lattices for strength in STRENGTHS]
    for lattice, strength in track(work, "strengths of the noise"):
        noise = scaled_noise(NOISES["paper"], strength)
        cases = [simulated_case(lattice, "paper", i, size, noise) for i in range(images)]
        for name, network in networks.items():
            errors = []
            for case in cases:
                output = network(case.noisy, case.normalisation)
                mse = whole_image.errors(output, case.clean)["mse"]
                errors.append(mse * (2 / case.corrugation) ** 2)
            mean_and_half = mean_and_interval(errors)
            curves.setdefault(lattice, {}).setdefault(name, []).append(mean_and_half)
    return curves


def strength_table(curves: dict[str, dict[str, list[tuple[float, float | None]]]]) -> ResultTable:
    """The curves as a table: lattices and networks down, strengths across."""
    table = ResultTable("noise_strength", ("lattice", "", *(f"x {s:g}" for s in STRENGTHS)), [])
    for lattice, networks in curves.items():
        for name, scores in networks.items():
            table.rows.append([Cell(lattice), Cell(name), *(number(m, 5, h) for m, h in scores)])
    return table


def gather(given: argparse.Namespace) -> list[Work]:
    """The images to score, not yet simulated.

    Raises:
        ValueError: If a lattice, a noise or the published images are not there.
    """
    for lattice in given.lattices:
        if lattice not in LATTICES:
            raise ValueError(f"lattice {lattice!r} is not known; there are {', '.join(LATTICES)}")
    for noise in given.noise:
        noise_of(noise)
    if min(given.images, given.stride) < 1 or given.size < 64:
        raise ValueError("--images and --stride are at least 1, --size is at least 64 px")
    work: list[Work] = [
        partial(simulated_case, lattice, noise, index, given.size)
        for noise in given.noise
        for lattice in given.lattices
        for index in range(given.images)
    ]
    if given.published:
        work += [partial(lambda case: case, case) for case in published_cases(given.published)]
    if not work:
        raise ValueError("there is nothing to score: give --noise or --published")
    return work


def run(given: argparse.Namespace, console: Console) -> None:
    """Scores, prints, writes.

    Raises:
        ValueError: If something that was asked for does not exist.
    """

    def say(text: str) -> None:
        console.print(text, style="yellow", highlight=False, markup=False)

    start = time.perf_counter()
    work = gather(given)
    networks = load_networks(given.models, given.stride, say)
    folder = Path(given.out)
    folder.mkdir(parents=True, exist_ok=False)

    def keep(table: ResultTable) -> None:
        (folder / f"{table.name}.csv").write_text(to_csv(table), encoding="utf-8")

    with torch.inference_mode():
        results = score_all(networks, (make() for make in work), len(work), say)
        table = table_of(results)
        keep(table)
        console.print(printed(table, "Whole images against the truth", LEGEND, 2))
        psnr = {
            place: {name: summary(found, "psnr") for name, found in rows.items() if name != CLEAN}
            for place, rows in results.items()
        }
        save(quality_figure(psnr), folder / "quality.png")
        invented = invention_table(networks, given.size, given.images)
        keep(invented)
        console.print(
            printed(
                invented,
                "Pure noise in: is there a lattice out?",
                "Power of the strongest peak at periods of 4 to 30 px, out over in: above 1 is "
                "invented.",
            )
        )
        if given.noise_strength:
            curves = strength_curves(networks, given.lattices, given.images, given.size)
            keep(strength_table(curves))
            console.print(
                printed(strength_table(curves), "MSE against strength of the noise", block=1)
            )
            save(strength_figure(STRENGTHS, curves), folder / "noise_strength.png")
    if not given.noise_strength:
        say("left out: MSE against the strength of the noise: ask with --noise-strength")
    if not given.published:
        say("left out: the published validation pairs: ask with --published <folder>")
    console.print(f"{folder}: {time.perf_counter() - start:.0f} s", highlight=False)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=[], help="checkpoints, or shipped models")
    parser.add_argument(
        "--lattices", nargs="+", default=list(CUT_LATTICES), help="of the simulation"
    )
    noises = "of the simulation, none for none; white: paper without striation"
    parser.add_argument("--noise", nargs="*", default=["paper", "realistic"], help=noises)
    parser.add_argument("--images", type=int, default=3, help="per lattice and noise")
    parser.add_argument("--size", type=int, default=257, help="of simulated images, px")
    parser.add_argument("--stride", type=int, default=4, help="of networks with a window, px")
    parser.add_argument(
        "--published", help="folder of sc, bcc, fcc with published validation pairs"
    )
    parser.add_argument("--noise-strength", action="store_true", help="also MSE against strength")
    parser.add_argument("--out", help="folder to be made; default: outputs/quality_<time>")
    given = parser.parse_args()
    given.out = given.out or time.strftime("outputs/quality_%Y-%m-%d_%H-%M-%S")
    console = Console()
    if not console.is_terminal or console.width < 200:
        console = Console(
            width=200
        )  # the table is wide, and cut columns are worse than wrapped ones
    try:
        run(given, console)
    except (ValueError, FileExistsError) as error:
        print(f"quality: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
