"""Flat crystals: a surface lattice of two vectors with a basis of atoms of several species.

A site (i + x, j + y) of the lattice lies at X = spread ((i + x) a + (j + y) b) px, a = (1, 0) and
b = ratio (cos gamma, sin gamma) in lattice constants, turned in the plane like the cut lattices.
The atoms are Gaussians that add up. Charge-density waves are added to them
(``surface.charge_density_waves``).
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.atoms import Atoms, left_pack
from stm_experiments.simulator.strengths import Strength, bounds, checked_strength

HEIGHT = 4.0  # in the topograph, of an atom of height 1: that of a cut lattice's topmost atoms
_GAP = 0.1  # a fault's two layers are further apart than half of b by this fraction of b
MIDDLE = 0.25 + _GAP / 2  # middle between the two layers, from the first one, fractions of b


@dataclass(frozen=True)
class Site:
    """An atom (or a column of atoms) of the basis.

    Attributes:
        species: Its name.
        x: Its position along a, as a fraction of a.
        y: Its position along b, as a fraction of b.
        height: Its height, or the intensity of its column; 1 for the highest.
        sigma: Width of its Gaussian, standard deviation, lattice constants.
    """

    species: str
    x: float
    y: float
    height: float
    sigma: float


@dataclass(frozen=True)
class Substitute:
    """A foreign atom or a partly empty column that may replace an atom.

    Attributes:
        name: Such as ``single S vacancy``.
        species: The species that is replaced.
        height: Its height, in the unit of ``Site.height``.
        share: How often it is chosen, relative to the others of the same species.
    """

    name: str
    species: str
    height: float
    share: float = 1.0


@dataclass(frozen=True)
class Wave:
    """A charge-density wave A (1 + cos(2 pi q r + phase)).

    Attributes:
        q: Its wave vector in units of the reciprocal lattice (a*, b*); any real numbers.
        amplitude: Its amplitude A relative to the image's (``FlatLattice.wave``).
    """

    q: tuple[float, float]
    amplitude: float = 1.0


@dataclass(frozen=True, kw_only=True)
class FlatLattice:
    """A flat crystal, its scale in the image and its charge-density waves.

    Attributes:
        name: Short name, a key of ``LATTICES``.
        spread: Pixels per lattice constant, the length of a.
        ratio: Length of b over that of a.
        gamma: Angle between a and b, degrees.
        fold: The lattice is itself after 1/fold of a turn in the plane.
        sites: The basis.
        hollow: Vector from an atom to the hollow site of an adatom next to it, fractions of a and
            b.
        adatom: Height of an adatom, in the unit of ``Site.height``.
        substitutes: Foreign atoms and partly empty columns. Of species that have none here, a
            foreign atom is brighter or darker by ``Defects.contrast``.
        waves: The charge-density waves; all of them follow one crystal and slip together.
        commensurate: The waves' crests lie on lattice sites, so that two domains differ by a vector
            of the lattice; otherwise their phases are arbitrary.
        wave: Amplitude of the waves, in corrugations of the lattice without them.
        modulation: Relative change of the atoms' heights at the crest of a wave of amplitude 1.
        wave_domains: Domains in an image between which the waves slip, at most.
        rotation_max: Largest turn in the plane, degrees.
        sigma: Width of all atoms, standard deviation, lattice constants; None: each site's own.
        fault: Share of the images with a Ruddlesden-Popper fault along a: two layers of the sites
            at y = 0 in a row, and beyond it the crystal shifted by half a.
        fault_strain: Elongation of the lattice along the normal of the fault, next to it.
        fault_reach: Distance over which this elongation decays by a factor e, lattice constants.
    """

    name: str
    spread: float
    ratio: float
    gamma: float
    fold: int
    sites: tuple[Site, ...]
    hollow: tuple[float, float] = (0.5, 0.5)
    adatom: float = 1.4
    substitutes: tuple[Substitute, ...] = ()
    waves: tuple[Wave, ...] = ()
    commensurate: bool = True
    wave: Strength = 0.0
    modulation: float = 0.0
    wave_domains: int = 1
    rotation_max: float = 180.0
    sigma: float | None = None
    fault: float = 0.0
    fault_strain: Strength = 0.0
    fault_reach: float = 4.0

    # As of a lattice that is not cut: it lies in the plane of the image.
    azimuth_max: ClassVar[float] = 0.0
    tilt_max: ClassVar[float] = 0.0
    k: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.sigma is not None:
            sites = tuple(replace(site, sigma=self.sigma) for site in self.sites)
            object.__setattr__(self, "sites", sites)
        self._check_lengths_and_angles()
        if not (isinstance(self.wave_domains, int) and 1 <= self.wave_domains <= 100):
            raise ValueError(f"wave_domains is a whole number of 1..100, not {self.wave_domains!r}")
        for name in ("wave", "fault_strain"):
            strength = checked_strength(name, getattr(self, name), owner="lattice")
            object.__setattr__(self, name, strength)
        for name in ("modulation", "fault"):
            checked_strength(name, getattr(self, name), owner="lattice", single=True)
        if self.fault > 1:
            raise ValueError(f"lattice: fault={self.fault} is a share of the images: at most 1")
        if bounds(self.fault_strain)[1] > 0.2:
            raise ValueError(f"lattice: fault_strain={self.fault_strain} is above 0.2")

    def _check_lengths_and_angles(self) -> None:
        lengths = {"spread": self.spread, "ratio": self.ratio, "fault_reach": self.fault_reach}
        if self.sigma is not None:
            lengths["sigma"] = self.sigma
        for name, length in lengths.items():
            if not (math.isfinite(length) and length > 0):
                raise ValueError(f"lattice: {name} must be positive, got {length}")
        if not 0 < self.gamma < 180:
            raise ValueError(f"lattice: gamma must lie between 0 and 180 degrees, got {self.gamma}")
        if not 0 <= self.rotation_max <= 360:
            raise ValueError(f"rotation_max must lie in 0..360 degrees, got {self.rotation_max}")

    @property
    def basis(self) -> Tensor:
        """The vectors a and b as columns, lattice constants, along x and y, [2, 2] float64."""
        angle = math.radians(self.gamma)
        b = (self.ratio * math.cos(angle), self.ratio * math.sin(angle))
        return torch.tensor([[1.0, b[0]], [0.0, b[1]]], dtype=torch.float64)

    @property
    def row(self) -> float:
        """Distance of the rows along a, lattice constants."""
        return self.ratio * math.sin(math.radians(self.gamma))


class Fault(NamedTuple):
    """Faults of N images: beyond y = row the crystal is shifted.

    Attributes:
        present: Which images have one, [N] bool.
        row: Last row of cells before it, [N] float64.
        strain: Elongation next to it, [N] float64.
    """

    present: Tensor
    row: Tensor
    strain: Tensor


class PlacedSites(NamedTuple):
    """Atoms of flat crystals and the sites of the basis to which they belong.

    Attributes:
        atoms: The atoms, all of depth 0.
        site: Their indices in ``FlatLattice.sites``, [N, A] int64.
    """

    atoms: Atoms
    site: Tensor


def turned_basis(lattice: FlatLattice, orientation: Tensor) -> Tensor:
    """Return a and b as columns along image axes 0 and 1, lattice constants, [N, 2, 2]."""
    p = orientation[:, 2].to("cpu", torch.float64) * math.radians(lattice.rotation_max)
    cos, sin = p.cos(), p.sin()
    turn = torch.stack((torch.stack((cos, sin), 1), torch.stack((-sin, cos), 1)), 1)
    return turn @ lattice.basis


def reciprocal_basis(lattice: FlatLattice, orientation: Tensor) -> Tensor:
    """Return a* and b* as columns along image axes 0 and 1, 1/px, [N, 2, 2]."""
    inverse: Tensor = torch.linalg.inv(lattice.spread * turned_basis(lattice, orientation))
    return inverse.transpose(1, 2)


def wave_vectors(lattice: FlatLattice, orientation: Tensor) -> Tensor:
    """Return the charge-density waves' vectors along image axes 0 and 1, 1/px, [N, J, 2]."""
    q = torch.tensor([wave.q for wave in lattice.waves], dtype=torch.float64).view(-1, 2)
    return torch.einsum("nij,kj->nki", reciprocal_basis(lattice, orientation), q)


def largest_radius(lattice: FlatLattice) -> float:
    """Return the radius (px) beyond which no atom is drawn: 4.5 times the largest sigma."""
    return 4.5 * lattice.spread * max(site.sigma for site in lattice.sites)


def place_sites(
    lattice: FlatLattice, orientation: Tensor, offset: Tensor, size: int, fault: Fault | None = None
) -> PlacedSites:
    """List the atoms that images of ``size`` px can show, margin included.

    Args:
        lattice: The lattice.
        orientation: The last column is the turn, a fraction of ``rotation_max``, [N, 3].
        offset: Origin of the lattice as fractions of a and b; a third column is not used, [N, 3].
        size: Image height and width, px.
        fault: Faults of the crystals; None for none.
    """
    origin = offset.to("cpu", torch.float64)[:, :2].remainder(1)
    limit = (size // 2 + largest_radius(lattice)) / lattice.spread
    cells, site = _cells(lattice, math.ceil(math.sqrt(2) * limit) + 3)
    fractions = (cells + origin[:, None]).expand(len(origin), -1, 2)
    axes = turned_basis(lattice, orientation)
    exists = torch.ones(fractions.shape[:2], dtype=torch.bool)
    if fault is None:
        u, v = (fractions @ axes.transpose(1, 2)).unbind(2)
    else:
        y = cells[:, 1] - fault.row[:, None]
        faulty = fault.present[:, None]
        beyond = faulty & (y > 1 - 1e-9)
        exists = ~faulty | beyond | (y < 1e-9)
        shift = torch.tensor([0.5, _GAP - 0.5], dtype=torch.float64)
        fractions = fractions + shift * beyond[..., None]
        distance = (y + shift[1] * beyond - MIDDLE) * lattice.row
        stretch = faulty * fault.strain[:, None] * lattice.fault_reach * distance.sign()
        stretch = stretch * (1 - torch.exp(-distance.abs() / lattice.fault_reach))
        u, v = (fractions @ axes.transpose(1, 2)).unbind(2)
        normal = torch.nn.functional.normalize(torch.linalg.inv(axes)[:, 1], dim=1)
        u, v = u + stretch * normal[:, :1], v + stretch * normal[:, 1:]
    near = exists & (u.abs() <= limit) & (v.abs() <= limit)
    u, v, site, present = left_pack(near, (u, v, site.expand(near.shape), near))
    return PlacedSites(Atoms(u, v, torch.zeros_like(u), present), site)


def beyond_fault(
    lattice: FlatLattice, orientation: Tensor, offset: Tensor, size: int, fault: Fault
) -> Tensor:
    """Return which pixels lie beyond a fault, [N, size, size] bool."""
    r = torch.arange(size, dtype=torch.float64) - size // 2
    star = reciprocal_basis(lattice, orientation)[:, :, 1, None, None]
    y = star[:, 0] * r[:, None] + star[:, 1] * r - offset[:, 1].remainder(1)[:, None, None]
    return fault.present[:, None, None] & (y > fault.row[:, None, None] + MIDDLE)


@lru_cache(maxsize=64)
def _cells(lattice: FlatLattice, radius: int) -> tuple[Tensor, Tensor]:
    """List sites within ``radius`` lattice constants: fractions of a and b [M, 2] and index [M]."""
    inverse = torch.linalg.inv(lattice.basis)
    reach = [math.ceil(radius * float(row.norm())) + 1 for row in inverse]
    i, j = (torch.arange(-n, n + 1, dtype=torch.float64) for n in reach)
    corners = torch.cartesian_prod(i, j)
    fractions = torch.cat(
        [corners + torch.tensor([site.x, site.y], dtype=torch.float64) for site in lattice.sites]
    )
    index = torch.arange(len(lattice.sites)).repeat_interleave(len(corners))
    near = (fractions @ lattice.basis.T).norm(dim=1) <= radius
    return fractions[near], index[near]


@lru_cache(maxsize=64)
def corrugation_of_cell(lattice: FlatLattice) -> float:
    """Return the 5-95 % range of the perfect lattice without its waves, in the topograph's unit."""
    n = 32
    grid = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float64) / n] * 2) @ lattice.basis.T
    fractions, index = _cells(lattice, 6)
    atoms = fractions @ lattice.basis.T
    height = torch.tensor([site.height for site in lattice.sites], dtype=torch.float64)[index]
    sigma = torch.tensor([site.sigma for site in lattice.sites], dtype=torch.float64)[index]
    r2 = torch.cdist(grid, atoms).square()
    values = (HEIGHT * height * torch.exp(-r2 / (2 * sigma**2))).sum(1)
    low, high = torch.quantile(values, torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
    return float(high - low)
