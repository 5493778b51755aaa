"""Crystal lattices cut by a plane: which atoms a topograph shows, where, and how deep.

The cut is the plane z = T (x cos b + y sin b) with azimuth b and T = tan(tilt). Every column (x, y)
of the lattice shows its highest atom at or below the plane. Seen along the plane's normal and
turned in the plane by the rotation p, that atom lies at (u, v) and at a depth below the plane.
Lengths are in lattice constants; one lattice constant is ``Lattice.spread`` pixels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Lattice:
    """A crystal lattice, its scale in the image and the orientations in which it is cut.

    Attributes:
        name: Short name, a key of ``LATTICES``.
        spread: Pixels per lattice constant.
        azimuth_max: Largest azimuth of the cut, degrees.
        tilt_max: Largest tilt of the cut, degrees (45 never reaches a cubic (111) face at 54.7).
        k: Divides the area of an atom: s = spread^2 / (64 k) in the exponent of the Gaussian.
        basis: Sites (x, y, z) of the conventional cell, as fractions of its edges.
        a: Cell edge along x, lattice constants.
        row: Distance between rows along y over ``a``; the cell has two rows.
        rows_first: Atoms are listed row by row (y outer) instead of column by column (x outer).
    """

    name: str
    spread: float
    azimuth_max: float
    tilt_max: float
    k: int
    basis: tuple[tuple[float, float, float], ...]
    a: float = 1.0
    row: float = 0.5
    rows_first: bool = False

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


_CENTRED = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.0))

CUT_LATTICES: dict[str, Lattice] = {
    lattice.name: lattice
    for lattice in (
        Lattice("sc", 10, 45.0, 45.0, 1, ((0.0, 0.0, 0.0),)),
        Lattice("bcc", 13, 45.0, 45.0, 2, ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))),
        Lattice("fcc", 18, 45.0, 45.0, 3, (*_CENTRED, (0.5, 0.0, 0.5), (0.0, 0.5, 0.5))),
        Lattice("hex1", 14, 60.0, 30.0, 4, _CENTRED, 0.7, math.sqrt(3) / 2, True),
        # Called hexagonal in the paper, but a centred-rectangular lattice of well separated rows.
        Lattice("hex2", 10, 60.0, 30.0, 5, _CENTRED, 1.2, math.sqrt(3), True),
    )
}


@dataclass(frozen=True)
class Preset:
    """Which version of the simulator: a physical one, or one of the authors' two programs.

    Attributes:
        name: Key of ``PRESETS``.
        w: Narrowness of an atom per lattice name, in the exponent -(w/s) r^2 / sqrt(2 - depth).
        exponent: Power of 2; atoms g overlap as (sum g^exponent)^(1/exponent): 1 is a sum, 4 a
            smooth maximum.
        exclusion: An atom is not drawn where the image already exceeds this height; None draws all.
        from_sites: Project the atoms themselves; otherwise the points of the plane above them.
        slanted_depth: Depth along the plane's normal on all sites; the programs forgot to divide by
            sqrt(1 + T^2) on the z = 0 sites of bcc and fcc.
        windowed: The programs draw an atom only in a window of [-spread, spread - 1] px around
            floor(centre), with the sub-pixel part of its centre mirrored.
        skewed_hexagons: The programs project hexagonal lattices with two different sets of angles.
        uniform_offset: The lattice's origin is drawn in its cell; otherwise it is pixel size // 2.
        width_once: Width variation drawn once per image; otherwise once per atom.
    """

    name: str
    w: Mapping[str, float]
    exponent: int
    exclusion: float | None
    from_sites: bool
    slanted_depth: bool
    windowed: bool
    skewed_hexagons: bool
    uniform_offset: bool
    width_once: bool


_HEX_W = {"hex1": 0.13, "hex2": 0.015}
_W_15 = {"sc": 0.15, "bcc": 0.15, "fcc": 0.15, **_HEX_W}
_W_13 = {"sc": 0.13, "bcc": 0.13, "fcc": 0.13, **_HEX_W}

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("physical", _W_15, 4, None, True, True, False, False, True, False),
        Preset("published", _W_15, 1, 0.25, True, False, True, True, False, False),
        Preset("released", _W_13, 1, 0.7, False, False, True, True, False, True),
    )
}


class Atoms(NamedTuple):
    """Atoms of N images, left-packed in the programs' order and padded to the longest list.

    Attributes:
        u: Position along image axis 0 from pixel size // 2, lattice constants, [N, A] float64.
        v: The same along image axis 1.
        depth: Depth below the plane of the cut along its normal, lattice constants, [N, A] float64.
        present: False on padding, [N, A] bool.
    """

    u: Tensor
    v: Tensor
    depth: Tensor
    present: Tensor


def cut_off(lattice: Lattice, preset: Preset) -> float:
    """Radius (px) beyond which a `physical` atom is not drawn: 4.5 sigma at depth 0."""
    s = lattice.spread**2 / (64 * lattice.k)
    return 4.5 * math.sqrt(s / (preset.w[lattice.name] * math.sqrt(2)))


def place_atoms(
    lattice: Lattice,
    orientation: Tensor,
    preset: Preset,
    size: int,
    offset: Tensor | None = None,
) -> Atoms:
    """List the atoms that can be seen in images of ``size`` px, margin included.

    Args:
        lattice: The lattice.
        orientation: Azimuth, tilt and in-plane rotation as fractions of ``azimuth_max``,
            ``tilt_max`` and 180 degrees, [N, 3] in [0, 1).
        preset: The simulator's version.
        size: Image height and width, px.
        offset: Origin of the lattice as fractions of its conventional cell, [N, 3]; default 0.

    Returns:
        The atoms, float64 on the CPU: a floor that toggles on a rounding error moves an atom.
    """
    orientation = orientation.to("cpu", torch.float64)
    half = size // 2
    skewed = preset.skewed_hexagons and lattice.rows_first
    margin = 2 * lattice.spread if preset.windowed else cut_off(lattice, preset)
    # On the plane no distance is shorter than in (x, y), and an atom lies less than one lattice
    # constant from the plane's point; the programs' skewed lattices shrink a little.
    radius = (half + margin) * math.sqrt(2) / lattice.spread * (1.3 if skewed else 1) + 1
    x, y, z_site = _columns(lattice, 0.75 if skewed and lattice.name == "hex1" else lattice.row,
                            math.ceil(radius + max(lattice.cell)))  # fmt: skip
    z0: Tensor | float = 0.0
    if offset is not None:
        edges = torch.tensor(lattice.cell, dtype=torch.float64)
        # Modulo one cell, so that offsets one lattice period apart give the same numbers.
        x0, y0, z0 = (offset.to("cpu", torch.float64).remainder(1) * edges).unsqueeze(2).unbind(1)
        x, y = x + x0, y + y0

    if skewed:
        u, v, depth = _project_skewed(lattice, x, y, orientation)
    else:
        u, v, depth = _project(lattice, x, y, z_site, z0, orientation, preset)
    if preset.windowed:
        limit = half - 1 + 2 * lattice.spread
        seen = ((lattice.spread * u).floor().abs() <= limit) & (
            (lattice.spread * v).floor().abs() <= limit
        )
    else:
        limit = (half + margin) / lattice.spread
        seen = (u.abs() <= limit) & (v.abs() <= limit)
    return pack(u, v, depth, seen)


@lru_cache(maxsize=64)
def _columns(lattice: Lattice, row: float, radius: int) -> tuple[Tensor, Tensor, Tensor]:
    """Columns within ``radius`` lattice constants of the origin: x, y and height of a site, [M]."""
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
    x, y, z = torch.tensor(columns, dtype=torch.float64).T.contiguous()
    return x, y, z


def angles(orientation: Tensor, azimuth_max: float, tilt_max: float) -> tuple[Tensor, ...]:
    """Cos b, sin b, T = tan(tilt), q = sqrt(1 + T^2), each [N, 1]."""
    azimuth = orientation[:, 0:1] * math.radians(azimuth_max)
    slope = torch.tan(orientation[:, 1:2] * math.radians(tilt_max))
    return torch.cos(azimuth), torch.sin(azimuth), slope, torch.sqrt(1 + slope * slope)


def rotate(x: Tensor, y: Tensor, orientation: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the projected points by -p, p = a3 * pi."""
    p = orientation[:, 2:3] * math.pi
    cos_p, sin_p = torch.cos(p), torch.sin(p)
    return x * cos_p + y * sin_p, y * cos_p - x * sin_p


def _project(
    lattice: Lattice,
    x: Tensor,
    y: Tensor,
    z_site: Tensor,
    z0: Tensor | float,
    orientation: Tensor,
    preset: Preset,
) -> tuple[Tensor, Tensor, Tensor]:
    """Highest atom of every column at or below the cut: u, v, depth, each [N, M]."""
    cos_b, sin_b, slope, q = angles(orientation, lattice.azimuth_max, lattice.tilt_max)
    z = slope * (x * cos_b + y * sin_b)
    z_int = torch.floor(z - (z_site + z0)) + (z_site + z0)
    depth = (z - z_int) / q
    if not preset.slanted_depth and len({bz for *_, bz in lattice.basis}) > 1:
        depth = torch.where(z_site == 0, z - z_int, depth)
    height = z_int if preset.from_sites else z
    across = x * (cos_b / q) + y * (sin_b / q) + height * (slope / q)
    along = y * cos_b - x * sin_b
    return *rotate(across, along, orientation), depth


def _project_skewed(
    lattice: Lattice, x: Tensor, y: Tensor, orientation: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The released program's hexagonal lattices: u, v, depth, each [N, M].

    One coordinate is projected with the angles of the cubic limits (45 and 45 degrees), the other
    and the height of the plane with the hexagonal ones. All atoms of hex1 have depth 0. In hex2 the
    depth is measured from the row's last site before x, with a test in floating point for whether
    the row is shifted.
    """
    cos_b, sin_b, slope, _ = angles(orientation, lattice.azimuth_max, lattice.tilt_max)
    cos_c, sin_c, slope_c, q_c = angles(orientation, 45.0, 45.0)
    z = slope * (x * cos_b + y * sin_b)
    across = x * (cos_c / q_c) + y * (sin_c / q_c) + z * (slope_c / q_c)
    along = y * cos_b - x * sin_b
    if lattice.name == "hex1":
        depth = torch.zeros_like(z)
    else:
        a = lattice.a
        rows = y / (a * math.sqrt(3))
        shifted = a * (0.5 + torch.floor(x / a - 0.5))
        site = torch.where(rows == torch.floor(rows), a * torch.floor(x / a), shifted)
        depth = slope * (x - site)
    return *rotate(across, along, orientation), depth


def pack(u: Tensor, v: Tensor, depth: Tensor, seen: Tensor) -> Atoms:
    """Keep the atoms that are seen, [N, M] -> [N, A], in order, padded with zeros."""
    count = seen.sum(1, keepdim=True)
    present = torch.arange(int(count.max()) if len(count) else 0) < count
    zeros = torch.zeros(present.shape, dtype=torch.float64)
    u, v, depth = (zeros.masked_scatter(present, values[seen]) for values in (u, v, depth))
    return Atoms(u, v, depth, present)
