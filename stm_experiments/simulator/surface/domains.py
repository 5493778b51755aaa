"""Two orientations of a lattice in one image, and the boundary between them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from stm_experiments.simulator.lattices.atoms import Atoms, join
from stm_experiments.simulator.lattices.registry import AnyLattice


@dataclass(frozen=True)
class Crystal:
    """The crystals of N images of one lattice.

    Attributes:
        orientation: Of the only or the first domain, [N, 3].
        offset: Origin of the lattice as fractions of its conventional cell, [N, 3].
        second: Orientation of the second domain, [N, 3]; None for one domain.
        boundary: Coefficients of the boundary between them, [N, 10].
    """

    orientation: Tensor
    offset: Tensor
    second: Tensor | None
    boundary: Tensor


def _canvas_width(lattice: AnyLattice, size: int) -> int:
    """Return the width (px) of the programs' canvas: the image and a margin of 2 spread."""
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
    n = _canvas_width(lattice, size) - 7
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
    """Return the part of a domain map that lies in the image, [N, size, size]."""
    start = domains.shape[-1] // 2 - size // 2
    return domains[:, start : start + size, start : start + size]


def domain_at(atoms: Atoms, domains: Tensor, lattice: AnyLattice) -> Tensor:
    """Return the value of a domain map at each atom, [N, A]."""
    centre = domains.shape[-1] // 2
    u, v = (
        ((lattice.spread * x).floor().long() + centre).clamp(0, domains.shape[-1] - 1)
        for x in (atoms.u, atoms.v)
    )
    return domains[torch.arange(len(domains))[:, None], u, v]


def in_domain(atoms: Atoms, domains: Tensor, lattice: AnyLattice, sign: int) -> Tensor:
    """Return which present atoms lie in the domain of that sign, [N, A] bool."""
    return atoms.present & (domain_at(atoms, domains, lattice) == sign)


def join_domains(first: Atoms, second: Atoms, domains: Tensor, lattice: AnyLattice) -> Atoms:
    """List atoms of the first lattice in the first domain, then of the second in the second."""
    return join(
        first._replace(present=in_domain(first, domains, lattice, 1)),
        second._replace(present=in_domain(second, domains, lattice, -1)),
    )


def orientation_of_atoms(
    crystal: Crystal, atoms: Atoms, domains: Tensor | None, lattice: AnyLattice
) -> Tensor:
    """Return the orientation of each atom's crystal, [N, A, 3]."""
    first = crystal.orientation[:, None].expand(-1, atoms.u.shape[1], 3)
    if crystal.second is None or domains is None:
        return first
    sign = domain_at(atoms, domains, lattice)
    return first.where(sign[..., None] > 0, crystal.second[:, None])
