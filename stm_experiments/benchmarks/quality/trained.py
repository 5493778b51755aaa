"""The command of the simulator's own lattices: every baseline and any trained model.

The simulated images have seeds of their own, which no training uses; the measures are those of
``metrics.whole_image`` and ``lattice.atoms``.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from stm_experiments.benchmarks.command import Writer
from stm_experiments.benchmarks.quality.figures import quality_figure, strength_figure
from stm_experiments.benchmarks.quality.images import (
    KnownImage,
    named_noise,
    published_images,
    scaled_noise,
    simulated_image,
)
from stm_experiments.benchmarks.quality.scores import (
    CLEAN,
    LEGEND,
    DenoisingMethod,
    denoising_methods,
    invention_table,
    measure_interval,
    quality_table,
    score_all,
)
from stm_experiments.core.intervals import Interval, mean_and_interval
from stm_experiments.figures.canvas import save_figure
from stm_experiments.metrics import whole_image
from stm_experiments.reporting.result_table import Cell, ResultTable, number
from stm_experiments.simulator import CUT_LATTICES, LATTICES, NOISES

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # factors on the paper's noise
StrengthCurves = dict[str, dict[str, list[Interval]]]  # lattice -> method -> error at each strength


def strength_curves(
    methods: Mapping[str, DenoisingMethod], lattices: list[str], count: int, size: int
) -> StrengthCurves:
    """Measure the error at each strength of the paper's noise.

    The error is on the scale on which the clean image spans [-1, 1]: on the noisy image's scale it
    would shrink with every unit of noise in its range.

    Args:
        methods: By name.
        lattices: Their names.
        count: Images of each.
        size: Of the images, px.
    """
    curves: StrengthCurves = {}
    work = [(lattice, strength) for lattice in lattices for strength in STRENGTHS]
    for lattice, strength in track(work, "strengths of the noise"):
        noise = scaled_noise(NOISES["paper"], strength)
        images = [simulated_image(lattice, "paper", i, size, noise) for i in range(count)]
        for name, method in methods.items():
            errors = []
            for image in images:
                output = method(image.noisy, image.normalisation)
                mse = whole_image.image_errors(output, image.clean)["mse"]
                errors.append(mse * (2 / image.corrugation) ** 2)
            curves.setdefault(lattice, {}).setdefault(name, []).append(mean_and_interval(errors))
    return curves


def strength_table(curves: StrengthCurves) -> ResultTable:
    """Tabulate the curves: lattices and methods down, strengths across."""
    table = ResultTable("noise_strength", ("lattice", "", *(f"x {s:g}" for s in STRENGTHS)), [])
    for lattice, methods in curves.items():
        for name, errors in methods.items():
            table.rows.append([Cell(lattice), Cell(name), *(number(m, 5, h) for m, h in errors)])
    return table


def image_makers(options: argparse.Namespace) -> list[Callable[[], KnownImage]]:
    """Return the images to score as functions, so that one at a time is in memory.

    Raises:
        ValueError: If a lattice, a noise or the published images do not exist.
    """
    for lattice in options.lattices:
        if lattice not in LATTICES:
            raise ValueError(f"lattice {lattice!r} is not known; there are {', '.join(LATTICES)}")
    for noise in options.noise:
        named_noise(noise)
    if min(options.images, options.stride) < 1 or options.size < 64:
        raise ValueError("--images and --stride are at least 1, --size is at least 64 px")
    makers: list[Callable[[], KnownImage]] = [
        partial(simulated_image, lattice, noise, index, options.size)
        for noise in options.noise
        for lattice in options.lattices
        for index in range(options.images)
    ]
    if options.published:
        makers += [partial(lambda image: image, x) for x in published_images(options.published)]
    if not makers:
        raise ValueError("there is nothing to score: give --noise or --published")
    return makers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
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


def run(options: argparse.Namespace, folder: Path, console: Console) -> None:
    """Score, print and write.

    Raises:
        ValueError: If an option names something that does not exist.
    """

    def say(text: str) -> None:
        console.print(text, style="yellow", highlight=False, markup=False)

    makers = image_makers(options)
    methods = denoising_methods(options.models, options.stride, say)
    write = Writer(folder, console)

    with torch.inference_mode():
        results = score_all(methods, (make() for make in makers), len(makers), say)
        write(quality_table(results), "Whole images against the truth", LEGEND, 2)
        psnr = {
            place: {name: measure_interval(x, "psnr") for name, x in rows.items() if name != CLEAN}
            for place, rows in results.items()
        }
        save_figure(quality_figure(psnr), folder / "quality.png")
        write(
            invention_table(methods, options.size, options.images),
            "Pure noise in: is there a lattice out?",
            "Power of the strongest peak at periods of 4 to 30 px, out over in: above 1 is "
            "invented.",
        )
        if options.noise_strength:
            curves = strength_curves(methods, options.lattices, options.images, options.size)
            write(strength_table(curves), "MSE against strength of the noise", block=1)
            save_figure(strength_figure(STRENGTHS, curves), folder / "noise_strength.png")
    if not options.noise_strength:
        say("left out: MSE against the strength of the noise: ask with --noise-strength")
    if not options.published:
        say("left out: the published validation pairs: ask with --published <folder>")
