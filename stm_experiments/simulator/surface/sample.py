"""The sample's own variation: atoms out of place, atoms of uneven width, two domains."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from stm_experiments.simulator.lattices.bulk import Atoms, Preset, pack
from stm_experiments.simulator.lattices.registry import AnyLattice
from stm_experiments.simulator.strengths import Strength, check_strengths


@dataclass(frozen=True)
class SampleNoise:
    """Strengths of the variation from atom to atom.

    Attributes:
        position_jitter: Standard deviation of an atom's displacement along each image axis, lattice
            constants (the paper: 0.2/15).
        width_jitter: Standard deviation of what is added to sqrt(2 - depth) in an atom's width (the
            paper: 0.045).
        strain: Local strain: the largest derivative of a smooth displacement of all atoms.
    """

    position_jitter: float = 0.0
    width_jitter: float = 0.0
    strain: Strength = 0.0

    def __post_init__(self) -> None:
        check_strengths(self, ("position_jitter", "width_jitter"))


def displacements(normal: Tensor, noise: SampleNoise, lattice: AnyLattice) -> Tensor:
    """Displacements (px) from normal draws of the same shape."""
    return lattice.spread * noise.position_jitter * normal


def width_changes(
    normal: Tensor, noise: SampleNoise, lattice: AnyLattice, preset: Preset
) -> Tensor:
    """What is added to sqrt(2 - depth), from normal draws of the same shape.

    The released program lists the empty columns of bcc as atoms at depth 1.999, which would explode
    with the usual strength: it uses a twentieth for bcc.
    """
    reduced = preset.width_once and lattice.name == "bcc"
    return noise.width_jitter * (0.05 if reduced else 1) * normal


def draw_sample(
    count: Tensor,
    generators: list[torch.Generator],
    noise: SampleNoise,
    lattice: AnyLattice,
    preset: Preset,
) -> tuple[Tensor, Tensor]:
    """Draw the variation of the first ``count`` atoms of each image, zero on the others.

    Returns:
        Displacements along axes 0 and 1 (px), [2, N, A], and width changes, [N, A].
    """
    normal = torch.zeros(3, len(count), int(count.max()), dtype=torch.float64)
    for i, (atoms, generator) in enumerate(zip(count.tolist(), generators, strict=True)):
        draws = torch.randn(3, atoms, generator=generator, dtype=torch.float64)
        normal[:, i, :atoms] = draws
        if preset.width_once:
            normal[2, i] = draws[2, :1]
    return displacements(normal[:2], noise, lattice), width_changes(
        normal[2], noise, lattice, preset
    )


def _canvas(lattice: AnyLattice, size: int) -> int:
    """Width (px) of the programs' canvas: the image and a margin of 2 spread."""
    return 2 * (size // 2) + 4 * math.ceil(lattice.spread)


def domain_map(coefficients: Tensor, lattice: AnyLattice, size: int) -> Tensor:
    """Split a canvas of C = size - 1 + 4 spread px into two domains by a cubic polynomial.

    The polynomial is c1/3 + c2 Y + c3 Y^2 + c4 Y^3 + X (c5 + c6 Y + c7 Y^2) + X^2 (c8 + c9 Y)
    + c10 X^3, X along image axis 0. X and Y run from -1 to 2.2, as in the programs. Its sign is
    smoothed with a disc of 37 pixels and rounded, which leaves a boundary of zeros.

    Args:
        coefficients: The ten coefficients, [N, 10].
        lattice: The lattice, for its spread.
        size: Image height and width, px.

    Returns:
        +1 in the first domain, -1 in the second, 0 on the boundary, [N, C - 1, C - 1] int8; the
        image's centre (pixel size // 2) is the central pixel.
    """
    n = _canvas(lattice, size) - 7
    along = 1.6 * (2 * torch.arange(1, n + 1, dtype=torch.float64) - 1) / n - 1
    x, y = along[:, None], along[None, :]
    c = coefficients.to(torch.float64)[:, :, None, None].unbind(1)
    cubic = c[0] / 3 + c[1] * y + c[2] * y**2 + c[3] * y**3
    cubic = cubic + x * (c[4] + c[5] * y + c[6] * y**2) + x**2 * (c[7] + c[8] * y) + c[9] * x**3
    reach = torch.arange(-3, 4) ** 2
    disc = (reach[:, None] + reach <= 3.5**2).float()
    # "Full" convolution with zeros around; the sums are small integers, exact in float32.
    total = conv2d(cubic.sign().float()[:, None], disc[None, None], padding=6)[:, 0]
    return torch.round(total / disc.sum()).to(torch.int8)


def crop_map(domains: Tensor, size: int) -> Tensor:
    """The part of a domain map that lies in the image, [N, size, size]."""
    start = domains.shape[-1] // 2 - size // 2
    return domains[:, start : start + size, start : start + size]


def join_domains(first: Atoms, second: Atoms, domains: Tensor, lattice: AnyLattice) -> Atoms:
    """Atoms of the first lattice in the first domain, then of the second one in the second."""
    centre = domains.shape[-1] // 2
    image = torch.arange(len(domains))[:, None]
    inside = []
    for sign, atoms in ((1, first), (-1, second)):
        u, v = (
            ((lattice.spread * x).floor().long() + centre).clamp(0, domains.shape[-1] - 1)
            for x in (atoms.u, atoms.v)
        )
        inside.append(atoms.present & (domains[image, u, v] == sign))
    u, v, depth = (torch.cat(pair, 1) for pair in zip(first[:3], second[:3], strict=True))
    return pack(u, v, depth, torch.cat(inside, 1))
