"""The stacked autoencoder on SrTiO3: its patches, other lattices, a fault, real images.

    python -m stm_experiments.benchmarks.srtio3 --models outputs/.../checkpoints/best.ckpt
    python -m stm_experiments.benchmarks.srtio3 --models ... --patches 1000 --faults 1     # quick

Nothing is trained here. The simulated images have seeds of their own, which no training uses. The
error is the mean |output - clean| over the range of the clean signal. Everything is printed, and
written as CSV and pictures to a new folder. What had to be left out is said, and why.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from stm_experiments.benchmarks.quality.scores import printed
from stm_experiments.benchmarks.srtio3.cases import (
    SIZE,
    WINDOW,
    Patches,
    bounds,
    cut,
    error,
    of_constant,
    patches,
)
from stm_experiments.benchmarks.srtio3.fault import (
    FAULT_NOISES,
    LEGEND,
    Method,
    fault_image,
    fault_table,
)
from stm_experiments.benchmarks.srtio3.figures import fault_figure, patches_figure, scan_figure
from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.figures.canvas import save
from stm_experiments.models import Gaussian, PatchPCA, checkpoint, tiling
from stm_experiments.reporting.result_table import Cell, ResultTable, embolden, number, to_csv
from stm_experiments.restoration.fit_weighted import apply_fit_weighted
from stm_experiments.restoration.whole_network import whole_image_network
from stm_experiments.simulator import CUT_LATTICES

CONSTANTS = (7, 8, 9, 10, 11, 12, 13, 14)  # px
STEPS = (1, 2, 3)  # of the floating window, px
STEP = 2  # the one that is shown
BOUND_PATCHES = 60  # over which the bounds are averaged
NOISY, MEAN = "noisy input", "mean of the patch"
CLASSICAL = {"Gaussian": Gaussian, "patch PCA": PatchPCA}


def named(paths: list[str]) -> dict[str, Any]:
    """Networks by the name of their run's folder, or of the shipped model.

    Raises:
        ValueError: If a model cannot be used.
    """
    nets: dict[str, Any] = {}
    for path in paths:
        own = Path(path).resolve()
        name = own.parent.parent.name if own.parent.name == "checkpoints" else own.stem
        nets[name if name not in nets else path] = whole_image_network(checkpoint.load(path))
    return nets


def patch_methods(nets: Mapping[str, Any]) -> dict[str, Method]:
    """What makes clean patches [P, 1, 28, 28] of noisy ones, by name."""
    fitting = {name: net for name, net in nets.items() if net.window == WINDOW}
    return {
        NOISY: lambda noisy: noisy,
        MEAN: lambda noisy: noisy.mean((2, 3), keepdim=True).expand_as(noisy),
        **fitting,
    }


def image_methods(nets: Mapping[str, Any], steps: Sequence[int] = (STEP,)) -> dict[str, Method]:
    """What makes a clean image [H, W] of a noisy one, by name; windows float by these steps, px.

    Those with a window once more with the outputs weighted by how they fit.
    """
    found: dict[str, Method] = {}
    for name, net in nets.items():
        for step in steps if net.window else (1,):
            full = f"{name}, step {step}" if net.window else name
            found[full] = partial(tiling.apply_network, net, window=net.window, stride=step)
        if net.window:
            found[f"{name}, step {STEP}, by fit"] = partial(
                apply_fit_weighted, net, window=net.window, stride=STEP
            )
    return found


def on_patches(method: Method, images: Patches) -> Tensor:
    """The errors of a method that is given each patch alone, [N] images."""
    return error(torch.cat([method(some) for some in cut(images.noisy).split(4096)]), images)


def on_images(method: Method, images: Patches) -> Tensor:
    """The errors of a method that is given the images as a whole, [N]."""
    return error(torch.stack([method(image[0])[None] for image in images.noisy]), images)


def percent(errors: Tensor, digits: int) -> Cell:
    """Mean error in % and half its interval by image."""
    mean, half = mean_and_interval((100 * errors).tolist())
    return number(mean, digits, half)


def patch_table(nets: Mapping[str, Any], count: int) -> ResultTable:
    """The errors on SrTiO3, and what the best fits could reach.

    Args:
        nets: By name.
        count: Patches; whole images are taken through the networks for at most 900 of them.
    """
    table = ResultTable("patches", ("", "sees", "n", "error %"), [])
    many, few = (patches(of_constant(10), number) for number in (count, min(count, 900)))
    for sees, methods, images, scored in (
        (f"{WINDOW} px patch", patch_methods(nets), many, on_patches),
        (f"{SIZE} px image", image_methods(nets), few, on_images),
    ):
        for name, method in methods.items():
            cells = [Cell(name), Cell(sees), number(9 * len(images.range), 0)]
            table.rows.append([*cells, percent(scored(method, images), 2)])
    embolden(table.rows, 3, smallest=True)
    for name, value in bounds(BOUND_PATCHES).items():
        cells = [Cell(f"bound: {name}"), Cell(f"{WINDOW} px patch"), number(BOUND_PATCHES, 0)]
        table.rows.append([*cells, number(100 * value, 2)])
    return table


def transfer_table(nets: Mapping[str, Any], count: int) -> ResultTable:
    """The errors on SrTiO3 of other lattice constants, and on lattices of other kinds."""
    whole = image_methods({name: net for name, net in nets.items() if net.window is None})
    alone = patch_methods(nets)
    tested = {f"srtio3, a = {a} px": of_constant(a) for a in CONSTANTS} | CUT_LATTICES
    table = ResultTable("transfer", ("error %", *alone, *whole), [])
    for name, lattice in track(tested.items(), "other lattices"):
        images = patches(lattice, count)
        errors = [on_patches(method, images) for method in alone.values()]
        errors += [on_images(method, images) for method in whole.values()]
        table.rows.append([Cell(name), *(percent(each, 1) for each in errors)])
    return table


def run(given: argparse.Namespace, console: Console) -> None:
    """Scores, prints, writes.

    Raises:
        ValueError: If something that was asked for does not exist.
    """
    if min(given.patches, given.faults) < 1:
        raise ValueError("--patches and --faults are at least 1")
    start = time.perf_counter()

    def say(text: str) -> None:
        console.print(text, style="yellow", highlight=False, markup=False)

    own = named(given.models)
    nets = {**{name: kind() for name, kind in CLASSICAL.items()}, **named(["denoiser"]), **own}
    folder = Path(given.out)
    folder.mkdir(parents=True, exist_ok=False)

    def keep(table: ResultTable, title: str, caption: str) -> None:
        (folder / f"{table.name}.csv").write_text(to_csv(table), encoding="utf-8")
        console.print(printed(table, title))
        console.print(caption, highlight=False)

    with torch.inference_mode():
        learnt = {name: net for name, net in nets.items() if name not in CLASSICAL}
        keep(
            patch_table(learnt, given.patches),
            "SrTiO3, evenly distributed noise, signal-to-noise ratio 0.33",
            "error: mean |output - clean| over the clean signal's range. Bounds: least squares "
            "fits of a perfect lattice (Cramer-Rao, normal noise of the same deviation), and the "
            "mean of all lattices that the noise's sharp range allows.",
        )
        save(patches_figure(own, patches(of_constant(10), 81)), folder / "patches.png")
        keep(
            transfer_table(learnt, min(given.patches, 540)),
            "Lattices that were not trained",
            "The same noise. srtio3 is trained at a = 10 px, its columns' width grows with a.",
        )
        methods = {NOISY: lambda image: image, **image_methods(nets, STEPS)}
        others = [f", step {step}" for step in STEPS if step != STEP]
        shown = {n: f for n, f in methods.items() if not n.endswith(tuple(others))}
        for title, noise in FAULT_NOISES.items():
            cases = [fault_image(noise, index) for index in range(given.faults)]
            table = fault_table(title, methods, cases)
            last = title == [*FAULT_NOISES][-1]
            keep(table, f"A fault with 4 % elongation: {title}", LEGEND if last else "")
            save(fault_figure(cases[0], shown, title), folder / f"{table.name}.png")
        for path in given.images:
            save(
                scan_figure(path, {"denoiser": nets["denoiser"], **own}),
                folder / f"{Path(path).stem}.png",
            )
    if not given.images:
        say("left out: real images: give --images")
    console.print(f"{folder}: {time.perf_counter() - start:.0f} s", highlight=False)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", required=True, help="checkpoints")
    parser.add_argument("--patches", type=int, default=10_000, help="test patches of SrTiO3")
    parser.add_argument("--faults", type=int, default=4, help="images with a fault, of each noise")
    parser.add_argument("--images", nargs="*", default=[], help="real images to look at")
    parser.add_argument("--out", help="folder to be made; default: outputs/srtio3_<time>")
    given = parser.parse_args()
    given.out = given.out or time.strftime("outputs/srtio3_%Y-%m-%d_%H-%M-%S")
    console = Console()
    if not console.is_terminal or console.width < 160:
        console = Console(width=160)
    try:
        run(given, console)
    except (ValueError, FileExistsError) as error:
        print(f"srtio3: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
