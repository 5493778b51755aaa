"""Which part of a charge-density wave a whole-image network keeps.

    python -m stm_experiments.benchmarks.waves --models denoiser denoiser_cdw

Simulated surfaces of ZrTe3, 1T-TaS2 and TiSe2, at seeds that no training uses. The amplitude of
each wave is read under a Hann window at its true wave vector, in the result and in the clean image:
1 is kept, 0 taken for noise. The error is the mean squared one over the variance of the clean
image; a constant and a plane are no error. Slow noise lies on ZrTe3's long wave, whose amplitude
can then come out above 1.
"""

import argparse
import math
import sys

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.seeds import seed_of
from stm_experiments.models import checkpoint
from stm_experiments.restoration.denoise import denoise
from stm_experiments.simulator import LATTICES, NOISES, PRESETS, simulate
from stm_experiments.simulator.lattices.registry import FLAT_LATTICES

Array = NDArray[np.float64]
MATERIALS = [name for name, lattice in FLAT_LATTICES.items() if lattice.waves]


def kept(after: Array, clean: Array, vectors: Array) -> list[float]:
    """Amplitude of each wave in one image over that in another, [H,W] each; vectors [J,2], 1/px."""
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in clean.shape))
    rows, columns = (np.arange(side) for side in clean.shape)

    def amplitude(image: Array, vector: Array) -> float:
        down, across = (
            np.exp(-2j * math.pi * q * x) for q, x in zip(vector, (rows, columns), strict=True)
        )
        weighted = (image - np.average(image, weights=window)) * window
        return float(abs(down @ weighted @ across))

    return [amplitude(after, vector) / amplitude(clean, vector) for vector in vectors]


def error(after: Array, clean: Array) -> float:
    """Mean squared error [H,W] without its plane, over the variance of the clean image."""
    return float(np.mean(subtract_plane(after - clean) ** 2) / clean.var())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["denoiser", "denoiser_cdw"])
    parser.add_argument("--noise", nargs="+", default=["none", "paper", "realistic"])
    parser.add_argument("--images", type=int, default=6, help="per material and noise")
    given = parser.parse_args()
    table = Table("material", "noise", "network", "kept", "least", "error", box=box.SIMPLE_HEAD)
    try:
        networks = {name: checkpoint.load(name) for name in given.models}
        cases = [(material, noise) for material in MATERIALS for noise in given.noise]
        for material, noise in track(cases, "materials"):
            seeds = [seed_of("waves", material, index) for index in range(given.images)]
            lattices = [LATTICES[material]] * given.images
            seen = simulate(lattices, seeds, NOISES[noise], PRESETS["physical"])
            pairs = [
                (noisy.double().numpy(), clean.double().numpy())
                for noisy, clean in zip(seen.noisy[:, 0], seen.clean[:, 0], strict=True)
            ]
            results = {"noisy input": [noisy for noisy, _ in pairs]}
            for name, net in networks.items():
                results[name] = [denoise(noisy, net).data for noisy, _ in pairs]
            for name, images in results.items():
                shares = [
                    share
                    for after, (_, clean), vectors in zip(
                        images, pairs, seen.truth["wave_vector"], strict=True
                    )
                    for share in kept(after, clean, vectors.numpy())
                ]
                errors = [error(x, clean) for x, (_, clean) in zip(images, pairs, strict=True)]
                numbers = (np.mean(shares), min(shares), np.mean(errors))
                table.add_row(material, noise, name, *(f"{x:.3f}" for x in numbers))
    except (ValueError, KeyError) as problem:
        sys.exit(f"waves: {problem}")
    Console().print(table)


if __name__ == "__main__":
    main()
