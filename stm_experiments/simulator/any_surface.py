"""Simulation of scans of surfaces of any kind."""

from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.lattices.registry import CUT_LATTICES
from stm_experiments.simulator.microscope.path import ScanPath
from stm_experiments.simulator.noise import Noise
from stm_experiments.simulator.scene import Scene, Trace
from stm_experiments.simulator.strengths import bounds, is_off
from stm_experiments.simulator.surface.any_surface import draw_any_surface


class SurfaceScans(NamedTuple):
    """Scans of surfaces, whose corrugation is about 1.

    Attributes:
        noisy: The recorded images, [N, 1, H, H] float32.
        clean: The same without noise, in the geometry in which they were scanned, [N, 1, H, H].
        stripes: Pixels in stripes, [N, 1, H, H] bool.
    """

    noisy: Tensor
    clean: Tensor
    stripes: Tensor


def check_any_noise(noise: Noise) -> None:
    """Refuse noise that is defined for a known lattice only.

    Raises:
        ValueError: If a strength is of this kind.
    """
    of_lattices = {
        "sample": is_off(noise.sample.position_jitter) and is_off(noise.sample.width_jitter),
        "tip": noise.tip == type(noise.tip)(),
        "scan.striation": is_off(noise.scan.striation),
    }
    wrong = [name for name, off in of_lattices.items() if not off]
    if wrong:
        raise ValueError(
            f"noise.{wrong[0]} is defined for a known lattice only: switch it off for surfaces of "
            "any kind"
        )


def simulate_any_surfaces(
    seeds: list[int], noise: Noise, size: int, strength: float | tuple[float, float] = 1.0
) -> SurfaceScans:
    """Simulate scans of surfaces of any kind, each a pure function of its seed.

    Args:
        seeds: The seed of each image.
        noise: Strengths of the noise, relative to the corrugation c = 1 of the surface.
        size: Image height and width, px.
        strength: Factor of all noise that is added to an image; of a range, each image draws its
            own, all orders of magnitude being equally likely.

    Raises:
        ValueError: If the noise is defined for a known lattice only.
    """
    check_any_noise(noise)
    moved = noise.motion.draw(size, seeds)
    border = noise.motion.border(0, size)
    path = ScanPath(moved, border)
    sample = torch.stack([draw_any_surface(seed, size + 2 * border) for seed in seeds])[:, None]
    clean = path.image(sample)
    scene = Scene(
        lattice=CUT_LATTICES["sc"],  # not used: no effect that is allowed depends on it
        seeds=seeds,
        sample=sample,
        path=path,
        flat=clean - clean.amin((1, 2, 3), keepdim=True),  # shot noise follows the height
        corrugation=torch.ones(len(seeds), dtype=torch.float64),
        striation_draws=torch.zeros(len(seeds), 2, dtype=torch.float64),
        generators={Trace.FORWARD: [image_stream(seed, "detector") for seed in seeds]},
    )
    noisy, stripes = clean, torch.zeros_like(clean, dtype=torch.bool)
    for effect in noise.effects:
        draws = effect.draw(scene)
        if draws:
            noisy, truth = effect.apply(noisy, draws, scene, Trace.FORWARD)
            if "stripes_forward" in truth:
                stripes = truth["stripes_forward"][:, None]
    low, high = bounds(strength)
    factors = [
        low * (high / low) ** float(torch.rand(1, generator=image_stream(seed, "strength")))
        for seed in seeds
    ]
    noisy = torch.lerp(clean, noisy, torch.tensor(factors)[:, None, None, None])
    return SurfaceScans(noisy, clean, stripes)
