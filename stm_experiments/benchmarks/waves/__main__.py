"""The part of a charge-density wave that a whole-image network keeps.

    python -m stm_experiments.benchmarks.waves

Simulated surfaces of ZrTe3, 1T-TaS2 and TiSe2, at seeds that no training uses. The amplitude of
each wave is measured under a Hann window at its true wave vector, in the result and in the clean
image: 1 means kept, 0 removed as noise. The error is the mean squared error over the variance of
the clean image; a constant and a plane are no error. Slow noise adds to ZrTe3's long wave, whose
amplitude can then exceed 1.

A second table (``reports``) says how often waves are reported as the instrument's.
"""

import argparse
import math
import sys
from collections.abc import Iterable

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stm_experiments.benchmarks.waves.reports import report_table
from stm_experiments.core.arrays import Array
from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.seeds import seed_of
from stm_experiments.models import checkpoint
from stm_experiments.restoration.denoise import denoise
from stm_experiments.simulator import FLAT_LATTICES, LATTICES, NOISES, PRESETS, simulate

MATERIALS = [name for name, lattice in FLAT_LATTICES.items() if lattice.waves]


def kept_shares(after: Array, clean: Array, vectors: Iterable[Array]) -> list[float]:
    """Return the amplitude of each wave in one image over that in another.

    Args:
        after: [H, W].
        clean: [H, W].
        vectors: Wave vectors along axes 0 and 1, [J, 2] 1/px.
    """
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in clean.shape))
    rows, columns = (np.arange(side) for side in clean.shape)

    def amplitude(image: Array, vector: Array) -> float:
        down, across = (
            np.exp(-2j * math.pi * q * x) for q, x in zip(vector, (rows, columns), strict=True)
        )
        weighted = (image - np.average(image, weights=window)) * window
        return float(abs(down @ weighted @ across))

    return [amplitude(after, vector) / amplitude(clean, vector) for vector in vectors]


def relative_variance(after: Array, clean: Array) -> float:
    """Return the mean squared error without its plane over the clean image's variance."""
    return float(np.mean(subtract_plane(after - clean) ** 2) / clean.var())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["surface_denoiser"])
    parser.add_argument("--noise", nargs="+", default=["none", "paper", "realistic"])
    parser.add_argument("--images", type=int, default=6, help="per material and noise")
    options = parser.parse_args()
    table = Table("material", "noise", "network", "kept", "least", "error", box=box.SIMPLE_HEAD)
    try:
        networks = {name: checkpoint.load(name) for name in options.models}
        cases = [(material, noise) for material in MATERIALS for noise in options.noise]
        for material, noise in track(cases, "materials"):
            seeds = [seed_of("waves", material, index) for index in range(options.images)]
            lattices = [LATTICES[material]] * options.images
            topographs = simulate(lattices, seeds, NOISES[noise], PRESETS["physical"])
            pairs = [
                (noisy.double().numpy(), clean.double().numpy())
                for noisy, clean in zip(topographs.noisy[:, 0], topographs.clean[:, 0], strict=True)
            ]
            results = {"noisy input": [noisy for noisy, _ in pairs]}
            for name, net in networks.items():
                results[name] = [denoise(noisy, net).data for noisy, _ in pairs]
            for name, images in results.items():
                shares = [
                    share
                    for after, (_, clean), vectors in zip(
                        images, pairs, topographs.truth["wave_vector"], strict=True
                    )
                    for share in kept_shares(after, clean, vectors.numpy())
                ]
                errors = [
                    relative_variance(x, clean) for x, (_, clean) in zip(images, pairs, strict=True)
                ]
                numbers = (np.mean(shares), min(shares), np.mean(errors))
                table.add_row(material, noise, name, *(f"{x:.3f}" for x in numbers))
    except (ValueError, KeyError) as problem:
        sys.exit(f"waves: {problem}")
    Console().print(table)
    Console().print(report_table(4 * options.images))


if __name__ == "__main__":
    main()
