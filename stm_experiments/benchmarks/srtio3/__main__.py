"""The benchmark of the stacked autoencoder: SrTiO3, other lattices, a fault, real images.

    python -m stm_experiments.benchmarks.srtio3 --models outputs/.../checkpoints/best.ckpt
    python -m stm_experiments.benchmarks.srtio3 --models ... --patches 1000 --faults 1     # quick

Nothing is trained here. The simulated images have seeds of their own, which no training uses. The
error is the mean |output - clean| over the range of the clean signal. Everything is printed, and
written as CSV and pictures to a new folder. Omitted parts are listed with the reason.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from stm_experiments.benchmarks.command import Writer, run_benchmark
from stm_experiments.benchmarks.srtio3.fault import (
    FAULT_NOISES,
    LEGEND,
    ImageMethod,
    fault_image,
    fault_table,
)
from stm_experiments.benchmarks.srtio3.figures import fault_figure, patches_figure, scan_figure
from stm_experiments.benchmarks.srtio3.patches import (
    SIZE,
    WINDOW,
    PatchImages,
    error_bounds,
    nine_patches,
    patch_images,
    relative_error,
    srtio3_of_constant,
)
from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.figures.canvas import save_figure
from stm_experiments.models import Gaussian, PatchPCA, checkpoint, tiling
from stm_experiments.models.interfaces import Network
from stm_experiments.reporting.result_table import Cell, ResultTable, embolden, number
from stm_experiments.restoration.fit_weighted import apply_fit_weighted
from stm_experiments.restoration.whole_network import whole_image_network
from stm_experiments.simulator import CUT_LATTICES

CONSTANTS = (7, 8, 9, 10, 11, 12, 13, 14)  # px
STEPS = (1, 2, 3)  # between overlapping windows, px
SHOWN_STEP = 2
BOUND_PATCHES = 60  # over which the bounds are averaged
NOISY, MEAN = "noisy input", "mean of the patch"
CLASSICAL = {"Gaussian": Gaussian, "patch PCA": PatchPCA}


def named_networks(paths: list[str]) -> dict[str, Network]:
    """Load networks, by the name of their run's folder or of the shipped model.

    Raises:
        ValueError: If a model cannot be used.
    """
    nets: dict[str, Network] = {}
    for path in paths:
        file = Path(path).resolve()
        in_run = file.parent.name == "checkpoints"
        name = file.parent.parent.name if in_run else file.stem
        nets[name if name not in nets else path] = whole_image_network(checkpoint.load(path))
    return nets


def patch_methods(nets: Mapping[str, Network]) -> dict[str, ImageMethod]:
    """Return the methods that denoise patches [P, 1, 28, 28], by name."""
    networks = {name: net for name, net in nets.items() if net.window == WINDOW}
    return {
        NOISY: lambda noisy: noisy,
        MEAN: lambda noisy: noisy.mean((2, 3), keepdim=True).expand_as(noisy),
        **networks,
    }


def image_methods(
    nets: Mapping[str, Network], steps: Sequence[int] = (SHOWN_STEP,)
) -> dict[str, ImageMethod]:
    """Return the methods that denoise a whole image [H, W], by name.

    Windows overlap at each of these steps, px. A network with a window is there once more with the
    outputs weighted by their fit.
    """
    methods: dict[str, ImageMethod] = {}
    for name, net in nets.items():
        for step in steps if net.window else (1,):
            full = f"{name}, step {step}" if net.window else name
            methods[full] = partial(tiling.apply_network, net, window=net.window, stride=step)
        if net.window:
            methods[f"{name}, step {SHOWN_STEP}, by fit"] = partial(
                apply_fit_weighted, net, window=net.window, stride=SHOWN_STEP
            )
    return methods


def on_patches(method: ImageMethod, images: PatchImages) -> Tensor:
    """Return the errors of a method that receives each patch alone, [N] images."""
    batches = nine_patches(images.noisy).split(4096)
    return relative_error(torch.cat([method(batch) for batch in batches]), images)


def on_images(method: ImageMethod, images: PatchImages) -> Tensor:
    """Return the errors of a method that receives whole images, [N]."""
    return relative_error(torch.stack([method(image[0])[None] for image in images.noisy]), images)


def percent(errors: Tensor, digits: int) -> Cell:
    """Return the mean error in % and half its interval by image."""
    mean, half = mean_and_interval((100 * errors).tolist())
    return number(mean, digits, half)


def patch_table(nets: Mapping[str, Network], count: int) -> ResultTable:
    """Tabulate the errors on SrTiO3, and the least errors of any fit.

    Args:
        nets: By name.
        count: Patches; whole images are denoised for at most 900 of them.
    """
    table = ResultTable("patches", ("", "input", "n", "error %"), [])
    many, few = (
        patch_images(srtio3_of_constant(10), number) for number in (count, min(count, 900))
    )
    for source, methods, images, scored in (
        (f"{WINDOW} px patch", patch_methods(nets), many, on_patches),
        (f"{SIZE} px image", image_methods(nets), few, on_images),
    ):
        for name, method in methods.items():
            cells = [Cell(name), Cell(source), number(9 * len(images.range), 0)]
            table.rows.append([*cells, percent(scored(method, images), 2)])
    embolden(table.rows, 3, smallest=True)
    for name, value in error_bounds(BOUND_PATCHES).items():
        cells = [Cell(f"bound: {name}"), Cell(f"{WINDOW} px patch"), number(BOUND_PATCHES, 0)]
        table.rows.append([*cells, number(100 * value, 2)])
    return table


def transfer_table(nets: Mapping[str, Network], count: int) -> ResultTable:
    """Tabulate the errors on SrTiO3 of other lattice constants, and on other lattices."""
    whole = image_methods({name: net for name, net in nets.items() if net.window is None})
    alone = patch_methods(nets)
    tested = {f"srtio3, a = {a} px": srtio3_of_constant(a) for a in CONSTANTS} | CUT_LATTICES
    table = ResultTable("transfer", ("error %", *alone, *whole), [])
    for name, lattice in track(tested.items(), "other lattices"):
        images = patch_images(lattice, count)
        errors = [on_patches(method, images) for method in alone.values()]
        errors += [on_images(method, images) for method in whole.values()]
        table.rows.append([Cell(name), *(percent(each, 1) for each in errors)])
    return table


def run(options: argparse.Namespace, folder: Path, console: Console) -> None:
    """Score, print and write.

    Raises:
        ValueError: If an option names something that does not exist.
    """
    if min(options.patches, options.faults) < 1:
        raise ValueError("--patches and --faults are at least 1")
    tested = named_networks(options.models)
    classical: dict[str, Network] = {name: kind() for name, kind in CLASSICAL.items()}
    nets = {**classical, **named_networks(["denoiser"]), **tested}
    write = Writer(folder, console)
    with torch.inference_mode():
        learnt = {name: net for name, net in nets.items() if name not in CLASSICAL}
        write(
            patch_table(learnt, options.patches),
            "SrTiO3, evenly distributed noise, signal-to-noise ratio 0.33",
            "error: mean |output - clean| over the clean signal's range. Bounds: least squares "
            "fits of a perfect lattice (Cramer-Rao, normal noise of the same deviation), and the "
            "mean of all lattices that the noise's sharp range allows.",
        )
        save_figure(
            patches_figure(tested, patch_images(srtio3_of_constant(10), 81)), folder / "patches.png"
        )
        write(
            transfer_table(learnt, min(options.patches, 540)),
            "Lattices that were not trained",
            "The same noise. srtio3 is trained at a = 10 px, its columns' width grows with a.",
        )
        methods = {NOISY: lambda image: image, **image_methods(nets, STEPS)}
        others = [f", step {step}" for step in STEPS if step != SHOWN_STEP]
        shown = {n: f for n, f in methods.items() if not n.endswith(tuple(others))}
        for title, noise in FAULT_NOISES.items():
            cases = [fault_image(noise, index) for index in range(options.faults)]
            table = fault_table(title, methods, cases)
            last = title == [*FAULT_NOISES][-1]
            write(table, f"A fault with 4 % elongation: {title}", LEGEND if last else "")
            save_figure(fault_figure(cases[0], shown, title), folder / f"{table.name}.png")
        for path in options.images:
            save_figure(
                scan_figure(path, {"denoiser": nets["denoiser"], **tested}),
                folder / f"{Path(path).stem}.png",
            )
    if not options.images:
        console.print("left out: real images: give --images", style="yellow", highlight=False)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", required=True, help="checkpoints")
    parser.add_argument("--patches", type=int, default=10_000, help="test patches of SrTiO3")
    parser.add_argument("--faults", type=int, default=4, help="images with a fault, of each noise")
    parser.add_argument("--images", nargs="*", default=[], help="real images to look at")
    parser.add_argument("--out", help="folder to be made; default: outputs/srtio3_<time>")
    options = parser.parse_args()
    run_benchmark("srtio3", options.out, partial(run, options), width=160)


if __name__ == "__main__":
    main()
