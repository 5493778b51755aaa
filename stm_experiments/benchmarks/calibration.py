"""How large the uncertainty of a whole-image network is, beside its true error.

    python -m stm_experiments.benchmarks.calibration <best.ckpt> --write denoiser.ckpt

The uncertainty of ``denoise`` is the deviation of the outputs for an image's mirror images. On
simulated images that nothing was trained on, the true error is known: the calibration is the factor
that makes their root mean squares equal. Half of the images fix the factor, the other half say
which share of the pixels then lies within one and two uncertainties of the truth. A constant offset
of an image is no error. ``--write`` writes the model file anew, the factor in its card, without the
state of its optimiser: what is shipped.
"""

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from stm_experiments.benchmarks.quality.cases import simulated_case
from stm_experiments.core.normalisation import normalise_plane
from stm_experiments.models import checkpoint, tiling
from stm_experiments.models.interfaces import Network
from stm_experiments.restoration.whole_network import whole_image_network
from stm_experiments.simulator import CUT_LATTICES

STRIDE = 4  # px, of networks with a window


def errors_and_spreads(
    net: Network, noise: str, numbers: range, size: int
) -> tuple[Tensor, Tensor]:
    """True errors and mirror deviations of all pixels of some images of each lattice, both [P]."""
    whole = whole_image_network(net)
    errors, spreads = [], []
    work = [(lattice, number) for number in numbers for lattice in CUT_LATTICES]
    for lattice, number in track(work, f"{noise}, images {numbers.start} to {numbers.stop - 1}"):
        case = simulated_case(lattice, noise, number, size)
        noisy, clean = case.noisy, case.clean
        if net.card and net.card.normalisation == "plane":
            flat, affine = normalise_plane(noisy.numpy())
            noisy, clean = torch.from_numpy(flat), clean / affine.scale
        output, spread = tiling.apply_with_deviation(whole, noisy, net.window, STRIDE)
        error = output - clean
        errors.append((error - error.median()).flatten())
        spreads.append(spread.flatten())
    return torch.cat(errors), torch.cat(spreads)


def calibrate(net: Network, noises: list[str], images: int, size: int) -> float:
    """Prints factor and coverage for each noise, and for all.

    Args:
        net: The network, with its card.
        noises: Names of the noises.
        images: Images of each lattice and noise for the factor, and as many for the coverage.
        size: Of the images, px.

    Returns:
        The factor over all noises.

    Raises:
        ValueError: If the outputs do not depend on mirroring.
    """
    known = {noise: errors_and_spreads(net, noise, range(images), size) for noise in noises}
    fresh = {
        noise: errors_and_spreads(net, noise, range(images, 2 * images), size) for noise in noises
    }

    def factor(pairs: list[tuple[Tensor, Tensor]]) -> float:
        error, spread = (
            torch.cat(part).square().mean().item() for part in zip(*pairs, strict=True)
        )
        if spread == 0:
            raise ValueError("the network does not depend on mirroring: there is no uncertainty")
        return math.sqrt(error / spread)

    overall = factor(list(known.values()))
    table = Table(
        title=f"uncertainty beside the true error; calibration {overall:.2f}", box=box.SIMPLE
    )
    for heading in ("noise", "rms error", "rms uncertainty", "own factor", "within 1", "within 2"):
        table.add_column(heading, justify="left" if heading == "noise" else "right")
    for noise, (error, spread) in fresh.items():
        inside = [(error.abs() <= k * overall * spread).float().mean().item() for k in (1, 2)]
        rms = error.square().mean().sqrt(), overall * spread.square().mean().sqrt()
        table.add_row(
            noise,
            *(f"{value:.4f}" for value in rms),
            f"{factor([known[noise]]):.2f}",
            *(f"{100 * share:.0f} %" for share in inside),
        )
    Console(width=100).print(table)
    return overall


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a model file, or a shipped model's name")
    parser.add_argument("--noise", nargs="+", default=["paper", "realistic"], help="of the images")
    parser.add_argument("--images", type=int, default=2, help="per lattice and noise, twice")
    parser.add_argument("--size", type=int, default=257, help="of the images, px")
    parser.add_argument("--write", help="a new model file with the factor in its card")
    given = parser.parse_args()
    try:
        if given.write and Path(given.write).exists():
            raise ValueError(f"{given.write} exists and is not written over")
        net = checkpoint.load(given.model)
        if net.card is None:
            raise ValueError(f"{given.model} has no card")
        factor = calibrate(net, given.noise, given.images, given.size)
        if given.write:
            checkpoint.save(net, replace(net.card, calibration=factor), Path(given.write))
            print(f"{given.write}: {Path(given.write).stat().st_size / 1e6:.1f} MB")
    except ValueError as error:
        print(f"calibration: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
