"""Crystals cut by a plane: which atoms a topograph shows, where, and how deep.

The cut is the plane z = T (x cos b + y sin b) with azimuth b and T = tan(tilt). Every column (x, y)
of the lattice shows its highest atom at or below the plane. Viewed along the plane's normal and
turned in the plane by the rotation p, that atom lies at (u, v) and at a depth below the plane.
Lengths are in lattice constants; one lattice constant is ``Lattice.spread`` pixels.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.atoms import Atoms, pack
from stm_experiments.simulator.presets import Preset


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """A crystal lattice, its scale in the image and the orientations in which it is cut.

    Attributes:
        name: Short name, a key of ``LATTICES``.
        spread: Pixels per lattice constant.
        azimuth_max: Largest azimuth of the cut, degrees.
        tilt_max: Largest tilt of the cut, degrees (45 never reaches a cubic (111) face at 54.7).
        fold: The lattice is itself after 1/fold of a turn about z.
        k: Divides the area of an atom: s = spread^2 / (64 k) in the exponent of the Gaussian.
        basis: Sites (x, y, z) of the conventional cell, as fractions of its edges.
        a: Cell edge along x, lattice constants.
        row: Distance between rows along y over ``a``; the cell has two rows.
        rows_first: Atoms are listed row by row (y outer) instead of column by column (x outer).
        narrowness: Of an atom in the preset physical, as in ``Preset.w``, of a lattice that is not
            one of the paper's, whose presets know it; None: the preset's.
    """

    name: str
    spread: float
    azimuth_max: float
    tilt_max: float
    fold: int
    k: int
    basis: tuple[tuple[float, float, float], ...]
    a: float = 1.0
    row: float = 0.5
    rows_first: bool = False
    narrowness: float | None = None

    rotation_max: ClassVar[float] = 180.0  # degrees

    def __post_init__(self) -> None:
        if not (math.isfinite(self.spread) and self.spread > 0):
            raise ValueError(
                f"spread must be positive (px per lattice constant), got {self.spread}"
            )
        if not (0 <= self.azimuth_max <= 360 and 0 <= self.tilt_max < 90):
            raise ValueError(
                f"azimuth_max must lie in 0..360 and tilt_max in 0..90 degrees, "
                f"got {self.azimuth_max} and {self.tilt_max}"
            )

    @property
    def cell(self) -> tuple[float, float, float]:
        """Edges of the conventional cell, lattice constants."""
        return self.a, 2 * self.row * self.a, 1.0

    @property
    def planes_per_cell(self) -> int:
        """Atomic planes along z in one lattice constant."""
        return len({z for *_, z in self.basis})


class Points(NamedTuple):
    """Columns of a lattice, lattice constants, [M] each.

    Attributes:
        x: Their positions along x.
        y: Their positions along y.
        z: Height of one of the atoms of each.
    """

    x: Tensor
    y: Tensor
    z: Tensor


class Projection(NamedTuple):
    """Atoms as a cut shows them, lattice constants, [N, M] each; see ``Atoms``."""

    u: Tensor
    v: Tensor
    depth: Tensor


class Cut(NamedTuple):
    """The planes of N cuts, [N, 1] each.

    Attributes:
        cos: Cosine of the azimuth.
        sin: Sine of the azimuth.
        slope: T, the tangent of the tilt.
        stretch: sqrt(1 + T^2).
    """

    cos: Tensor
    sin: Tensor
    slope: Tensor
    stretch: Tensor


def cut_planes(orientation: Tensor, azimuth_max: float, tilt_max: float) -> Cut:
    """Return the planes of orientations [N, 3], whose ranges are in degrees."""
    azimuth = orientation[:, 0:1] * math.radians(azimuth_max)
    slope = torch.tan(orientation[:, 1:2] * math.radians(tilt_max))
    return Cut(torch.cos(azimuth), torch.sin(azimuth), slope, torch.sqrt(1 + slope * slope))


def narrowness(lattice: Lattice, preset: Preset) -> float:
    """Return how narrow an atom is drawn, as in ``Preset.w``."""
    if lattice.narrowness is None:
        return preset.w[lattice.name]
    return lattice.narrowness


def cut_off_radius(lattice: Lattice, preset: Preset) -> float:
    """Return the radius (px) beyond which a `physical` atom is not drawn: 4.5 sigma at depth 0."""
    s = lattice.spread**2 / (64 * lattice.k)
    return 4.5 * math.sqrt(s / (narrowness(lattice, preset) * math.sqrt(2)))


def place_atoms(
    lattice: Lattice,
    orientation: Tensor,
    preset: Preset,
    size: int,
    offset: Tensor | None = None,
) -> Atoms:
    """List the atoms that images of ``size`` px can show, margin included.

    Args:
        lattice: The lattice.
        orientation: Azimuth, tilt and in-plane rotation as fractions of ``azimuth_max``,
            ``tilt_max`` and 180 degrees, [N, 3] in [0, 1).
        preset: The simulator's version.
        size: Image height and width, px.
        offset: Origin of the lattice as fractions of its conventional cell, [N, 3]; default 0.

    Returns:
        The atoms in the programs' order, float64 on the CPU: a floor that toggles on a rounding
        error moves an atom.
    """
    orientation = orientation.to("cpu", torch.float64)
    half = size // 2
    skewed = preset.skewed_hexagons and lattice.rows_first
    margin = 2 * lattice.spread if preset.windowed else cut_off_radius(lattice, preset)
    # On the plane no distance is shorter than in (x, y), and an atom lies less than one lattice
    # constant from the plane's point; the programs' skewed lattices shrink a little.
    radius = (half + margin) * math.sqrt(2) / lattice.spread * (1.3 if skewed else 1) + 1
    columns = _columns(lattice, 0.75 if skewed and lattice.name == "hex1" else lattice.row,
                       math.ceil(radius + max(lattice.cell)))  # fmt: skip
    x, y, z = columns
    if offset is not None:
        edges = torch.tensor(lattice.cell, dtype=torch.float64)
        # Modulo one cell, so that offsets one lattice period apart give the same numbers.
        x0, y0, z0 = (offset.to("cpu", torch.float64).remainder(1) * edges).unsqueeze(2).unbind(1)
        x, y, z = x + x0, y + y0, z + z0

    if skewed:
        projection = _project_skewed(lattice, x, y, orientation)
    else:
        # The programs tell the z = 0 sites from the others by the site, not by its height.
        projection = _project(lattice, Points(x, y, z), columns.z == 0, orientation, preset)
    u, v, depth = projection
    if preset.windowed:
        limit = half - 1 + 2 * lattice.spread
        near = ((lattice.spread * u).floor().abs() <= limit) & (
            (lattice.spread * v).floor().abs() <= limit
        )
    else:
        limit = (half + margin) / lattice.spread
        near = (u.abs() <= limit) & (v.abs() <= limit)
    return pack(Atoms(u, v, depth, near))


@lru_cache(maxsize=64)
def _columns(lattice: Lattice, row: float, radius: int) -> Points:
    """List the columns within ``radius`` lattice constants of the origin."""
    reach_x = math.ceil(radius / lattice.a) + 1
    reach_y = math.ceil(radius / (2 * row * lattice.a)) + 1
    columns = [
        # This order of operations gives the programs' rounding, on which hex2's depths depend.
        (j * lattice.a + bx * lattice.a, (round(2 * (i + by)) * lattice.a) * row, bz)
        for i in range(-reach_y, reach_y + 1)
        for j in range(-reach_x, reach_x + 1)
        for bx, by, bz in lattice.basis
    ]
    columns = [c for c in columns if c[0] ** 2 + c[1] ** 2 <= radius**2]
    columns.sort(key=(lambda c: (c[1], c[0])) if lattice.rows_first else (lambda c: (c[0], c[1])))
    return Points(*torch.tensor(columns, dtype=torch.float64).T.contiguous())


def rotate(x: Tensor, y: Tensor, orientation: Tensor) -> tuple[Tensor, Tensor]:
    """Turn projected points by -p, p being the rotation a3 * pi of orientations [N, 3]."""
    p = orientation[:, 2:3] * math.pi
    cos_p, sin_p = torch.cos(p), torch.sin(p)
    return x * cos_p + y * sin_p, y * cos_p - x * sin_p


def _project(
    lattice: Lattice,
    points: Points,
    on_ground: Tensor,
    orientation: Tensor,
    preset: Preset,
) -> Projection:
    """Project the highest atom of every column at or below the cut.

    Args:
        lattice: The lattice.
        points: Its columns, shifted by the lattice's origin, [M] or [N, M].
        on_ground: Which of them belong to sites of height 0 in the cell, [M].
        orientation: Of the cuts, [N, 3].
        preset: The simulator's version.
    """
    x, y, z_atom = points
    cut = cut_planes(orientation, lattice.azimuth_max, lattice.tilt_max)
    z = cut.slope * (x * cut.cos + y * cut.sin)
    z_highest = torch.floor(z - z_atom) + z_atom
    depth = (z - z_highest) / cut.stretch
    if not preset.slanted_depth and lattice.planes_per_cell > 1:
        depth = torch.where(on_ground, z - z_highest, depth)
    height = z_highest if preset.from_sites else z
    across = (
        x * (cut.cos / cut.stretch)
        + y * (cut.sin / cut.stretch)
        + height * (cut.slope / cut.stretch)
    )
    along = y * cut.cos - x * cut.sin
    return Projection(*rotate(across, along, orientation), depth)


def _project_skewed(lattice: Lattice, x: Tensor, y: Tensor, orientation: Tensor) -> Projection:
    """Project a hexagonal lattice as the released program does.

    One coordinate is projected with the angles of the cubic limits (45 and 45 degrees), the other
    and the height of the plane with the hexagonal ones. All atoms of hex1 have depth 0. In hex2 the
    depth is measured from the row's last site before x, with a test in floating point for whether
    the row is shifted.
    """
    cut = cut_planes(orientation, lattice.azimuth_max, lattice.tilt_max)
    cubic = cut_planes(orientation, 45.0, 45.0)
    z = cut.slope * (x * cut.cos + y * cut.sin)
    across = (
        x * (cubic.cos / cubic.stretch)
        + y * (cubic.sin / cubic.stretch)
        + z * (cubic.slope / cubic.stretch)
    )
    along = y * cut.cos - x * cut.sin
    if lattice.name == "hex1":
        depth = torch.zeros_like(z)
    else:
        a = lattice.a
        rows = y / (a * math.sqrt(3))
        shifted = a * (0.5 + torch.floor(x / a - 0.5))
        site = torch.where(rows == torch.floor(rows), a * torch.floor(x / a), shifted)
        depth = cut.slope * (x - site)
    return Projection(*rotate(across, along, orientation), depth)
