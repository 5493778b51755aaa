"""The uncertainty of a whole-image network, compared with its true error.

    python -m stm_experiments.benchmarks.calibration <best.ckpt> --write denoiser.ckpt

The uncertainty of ``denoise`` is the estimated risk of a mixture of denoisers, or else the standard
deviation of the outputs for an image's mirror images. On simulated images of seeds that no training
uses, the true error is known: the calibration is the factor that makes their root mean squares
equal. Half of the images determine the factor; on the other half, the share of the pixels within
one and two uncertainties of the truth is measured. A constant
offset of an image is no error. ``--write`` writes a new model file with the factor in its card and
without the state of the optimiser, as it is shipped.
"""

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from stm_experiments.benchmarks.quality.images import simulated_image
from stm_experiments.core.normalisation import normalise_plane
from stm_experiments.models import checkpoint, tiling
from stm_experiments.models.interfaces import Network
from stm_experiments.restoration.mixture.local_risk import LocalRisk
from stm_experiments.restoration.whole_network import whole_image_network
from stm_experiments.simulator import CUT_LATTICES

STRIDE = 4  # px, of networks with a window


class PixelErrors(NamedTuple):
    """True errors of pixels and the deviations of their mirror images, [P] each."""

    error: Tensor
    deviation: Tensor


def errors_and_deviations(net: Network, noise: str, numbers: range, size: int) -> PixelErrors:
    """Measure all pixels of some images of each lattice."""
    whole = whole_image_network(net)
    errors, deviations = [], []
    work = [(lattice, number) for number in numbers for lattice in CUT_LATTICES]
    for lattice, number in track(work, f"{noise}, images {numbers.start} to {numbers.stop - 1}"):
        image = simulated_image(lattice, noise, number, size)
        noisy, clean = image.noisy, image.clean
        if net.card and net.card.normalisation == "plane":
            flat, affine = normalise_plane(noisy.numpy())
            noisy, clean = torch.from_numpy(flat), clean / affine.scale
        if isinstance(whole, LocalRisk):
            with torch.no_grad():
                mixture = whole.mixture(noisy)
            output, deviation = mixture.output, mixture.risk.sqrt()
        else:
            output, deviation = tiling.apply_with_deviation(whole, noisy, net.window, STRIDE)
        error = output - clean
        errors.append((error - error.median()).flatten())
        deviations.append(deviation.flatten())
    return PixelErrors(torch.cat(errors), torch.cat(deviations))


def calibrate(net: Network, noises: list[str], images: int, size: int) -> float:
    """Print factor and coverage for each noise, and return the overall factor.

    Args:
        net: The network, with its card.
        noises: Names of the noises.
        images: Images of each lattice and noise for the factor, and as many for the coverage.
        size: Of the images, px.

    Returns:
        The factor for all noises together.

    Raises:
        ValueError: If the outputs do not depend on mirroring.
    """
    first_half = {noise: errors_and_deviations(net, noise, range(images), size) for noise in noises}
    second_half = {
        noise: errors_and_deviations(net, noise, range(images, 2 * images), size)
        for noise in noises
    }

    def factor(pairs: list[PixelErrors]) -> float:
        error, deviation = (
            torch.cat(part).square().mean().item() for part in zip(*pairs, strict=True)
        )
        if deviation == 0:
            raise ValueError("the network does not depend on mirroring: there is no uncertainty")
        return math.sqrt(error / deviation)

    overall = factor(list(first_half.values()))
    table = Table(title=f"uncertainty and true error; calibration {overall:.2f}", box=box.SIMPLE)
    for heading in ("noise", "rms error", "rms uncertainty", "own factor", "within 1", "within 2"):
        table.add_column(heading, justify="left" if heading == "noise" else "right")
    for noise, (error, deviation) in second_half.items():
        inside = [(error.abs() <= k * overall * deviation).float().mean().item() for k in (1, 2)]
        rms = error.square().mean().sqrt(), overall * deviation.square().mean().sqrt()
        table.add_row(
            noise,
            *(f"{value:.4f}" for value in rms),
            f"{factor([first_half[noise]]):.2f}",
            *(f"{100 * share:.0f} %" for share in inside),
        )
    Console(width=100).print(table)
    return overall


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="a model file, or a shipped model's name")
    parser.add_argument("--noise", nargs="+", default=["paper", "realistic"], help="of the images")
    parser.add_argument("--images", type=int, default=2, help="per lattice and noise, twice")
    parser.add_argument("--size", type=int, default=257, help="of the images, px")
    parser.add_argument("--write", help="a new model file with the factor in its card")
    options = parser.parse_args()
    try:
        if options.write and Path(options.write).exists():
            raise ValueError(f"{options.write} exists and is not overwritten")
        net = checkpoint.load(options.model)
        if net.card is None:
            raise ValueError(f"{options.model} has no card")
        factor = calibrate(net, options.noise, options.images, options.size)
        if options.write:
            checkpoint.save(net, replace(net.card, calibration=factor), Path(options.write))
            print(f"{options.write}: {Path(options.write).stat().st_size / 1e6:.1f} MB")
    except ValueError as error:
        print(f"calibration: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
