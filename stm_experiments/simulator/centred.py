"""What a cut crystal looks like in its canonical pose, and the pose in which an image shows it.

The pose of a patch is where the window lies on the cut and how the image is turned: the rotation,
and three phases, one for each direction in which the crystal repeats itself. (The plane of the cut
is two-dimensional, but the third phase tells at which height it meets the atoms.)
"""

import math
from itertools import combinations, product

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.cut import Lattice, cut_planes
from stm_experiments.simulator.presets import Preset
from stm_experiments.simulator.simulation import render_topographs

Triple = tuple[int, ...]


def centred_topographs(lattice: Lattice, orientation: Tensor, preset: Preset, size: int) -> Tensor:
    """Draw cuts without noise, with an atom in the middle and the slope along image axis 0.

    Args:
        lattice: The lattice.
        orientation: As in ``render_topographs``, [N, 3]; the rotation is set to 0.
        preset: The simulator's version.
        size: Image height and width, px.

    Returns:
        [N, 1, size, size] float32; the minimum and maximum of each are -1 and 1.
    """
    upright = orientation * torch.tensor([1.0, 1.0, 0.0], dtype=orientation.dtype)
    heights = render_topographs(lattice, upright, preset, size)
    low, high = heights.amin((1, 2, 3), keepdim=True), heights.amax((1, 2, 3), keepdim=True)
    return 2 * (heights - low) / (high - low) - 1


def phase_maps(lattice: Lattice, orientation: Tensor, offset: Tensor, size: int) -> Tensor:
    """Return the phases of the crystal along the cut, which are linear in the pixels.

    A phase is that of a plane wave of a reciprocal lattice vector whose crests pass through the
    atoms, at the point of the cut that a pixel shows.

    Args:
        lattice: The lattice.
        orientation: Azimuth, tilt and rotation as fractions of their ranges, [N, 3].
        offset: Origin of the lattice as fractions of its conventional cell, [N, 3].
        size: Image height and width, px.

    Returns:
        For each of three primitive reciprocal vectors the phase at pixel (0, 0), rad, and its
        changes along axes 0 and 1, rad/px, [N, 3, 3] float64.
    """
    cut = cut_planes(orientation.double(), lattice.azimuth_max, lattice.tilt_max)
    turn = orientation[:, 2:3].double() * math.pi
    cos_p, sin_p = turn.cos(), turn.sin()
    # Directions (x, y, z) in the crystal of a step along the slope and across it.
    along = torch.cat([cut.cos, cut.sin, cut.slope], 1) / cut.stretch
    across = torch.cat([-cut.sin, cut.cos, torch.zeros_like(cut.cos)], 1)
    steps = torch.stack([along * cos_p + across * sin_p, across * cos_p - along * sin_p], 2)
    vectors = torch.tensor(reciprocal_vectors(lattice.basis), dtype=torch.float64)
    cell = torch.tensor(lattice.cell, dtype=torch.float64)
    changes = 2 * math.pi * (vectors / cell) @ steps / lattice.spread  # [N, 3, 2]
    middle = -2 * math.pi * offset.double() @ vectors.T
    first = middle - changes.sum(2) * (size // 2)
    return torch.cat([first[:, :, None], changes], 2)


def reciprocal_vectors(basis: tuple[tuple[float, float, float], ...]) -> tuple[Triple, ...]:
    """Return three short primitive reciprocal vectors of a centred lattice.

    Args:
        basis: Sites of the conventional cell, all equivalent, as fractions of its edges.

    Returns:
        Miller indices of the conventional cell; each site has a whole product with each vector.

    Raises:
        ValueError: If the sites are not a centring of the cell.
    """
    whole = [
        vector
        for vector in product((1, 0, -1), repeat=3)
        if all(sum(a * b for a, b in zip(vector, site, strict=True)) % 1 == 0 for site in basis)
    ]
    whole.sort(key=lambda vector: sum(map(abs, vector)))
    for chosen in combinations(whole, 3):
        if abs(round(float(torch.det(torch.tensor(chosen).double())))) == len(basis):
            return chosen
    raise ValueError(f"the sites {basis} are not the centring of a lattice")
