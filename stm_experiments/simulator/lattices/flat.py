"""Flat crystals: a surface lattice of two vectors with a basis of atoms of several species.

A site (i + x, j + y) of the lattice lies at X = spread ((i + x) a + (j + y) b) px, a = (1, 0) and
b = ratio (cos gamma, sin gamma) in lattice constants, turned in the plane like the cut lattices.
The atoms are Gaussians that add up, and on them lie charge-density waves (``cdw``).
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.bulk import Atoms, pack
from stm_experiments.simulator.strengths import Strength, bounds, checked_strength

HEIGHT = 4.0  # of an atom of height 1 in the topograph, as of the cut lattices' topmost ones
_GAP = 0.1  # by which a fault's two layers are further apart than half of b
MIDDLE = 0.25 + _GAP / 2  # between them, from the first, fractions of b


@dataclass(frozen=True)
class Site:
    """An atom (or a column of atoms) of the basis.

    Attributes:
        species: Its name.
        x: Its place along a, as a fraction of a.
        y: The same along b.
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
    """What may sit in the place of an atom.

    Attributes:
        name: Such as ``single S vacancy``.
        species: The species that it replaces.
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


@dataclass(frozen=True)
class FlatLattice:
    """A flat crystal, its scale in the image and its charge-density waves.

    Attributes:
        name: Short name, a key of ``LATTICES``.
        spread: Pixels per lattice constant, the length of a.
        ratio: Length of b over that of a.
        gamma: Angle between a and b, degrees.
        sites: The basis.
        hollow: From an atom to the place of an adatom beside it, fractions of a and b.
        adatom: Height of an adatom, in the unit of ``Site.height``.
        substitutes: Foreign atoms and partly empty columns. Of species that have none here, a
            foreign atom is brighter or darker by ``Defects.contrast``.
        waves: The charge-density waves; all of them follow one crystal and slip together.
        commensurate: The waves' crests lie on lattice sites, so that two domains differ by a vector
            of the lattice; otherwise their phases are any.
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

    # What the scan and the sheets ask of any lattice: it lies in the plane of the image.
    azimuth_max: ClassVar[float] = 0.0
    tilt_max: ClassVar[float] = 0.0
    k: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.sigma is not None:
            sites = tuple(replace(site, sigma=self.sigma) for site in self.sites)
            object.__setattr__(self, "sites", sites)
        for name in ("spread", "ratio", "fault_reach", "sigma"):
            value = 1.0 if name == "sigma" and self.sigma is None else getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"lattice: {name} must be positive, got {value}")
        if not 0 < self.gamma < 180:
            raise ValueError(f"lattice: gamma must lie between 0 and 180 degrees, got {self.gamma}")
        if not 0 <= self.rotation_max <= 360:
            raise ValueError(f"rotation_max must lie in 0..360 degrees, got {self.rotation_max}")
        if not (isinstance(self.wave_domains, int) and 1 <= self.wave_domains <= 100):
            raise ValueError(f"wave_domains is a whole number of 1..100, not {self.wave_domains!r}")
        for name in ("wave", "fault_strain"):
            object.__setattr__(self, name, checked_strength(name, getattr(self, name), "lattice"))
        for name in ("modulation", "fault"):
            checked_strength(name, getattr(self, name), "lattice", single=True)
        if self.fault > 1:
            raise ValueError(f"lattice: fault={self.fault} is a share of the images: at most 1")
        if bounds(self.fault_strain)[1] > 0.2:
            raise ValueError(f"lattice: fault_strain={self.fault_strain} is above 0.2")

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


def turned(lattice: FlatLattice, orientation: Tensor) -> Tensor:
    """The vectors a and b as columns along image axes 0 and 1, lattice constants, [N, 2, 2]."""
    p = orientation[:, 2].to("cpu", torch.float64) * math.radians(lattice.rotation_max)
    cos, sin = p.cos(), p.sin()
    turn = torch.stack((torch.stack((cos, sin), 1), torch.stack((-sin, cos), 1)), 1)
    return turn @ lattice.basis


def reciprocal(lattice: FlatLattice, orientation: Tensor) -> Tensor:
    """The vectors a* and b* as columns along image axes 0 and 1, 1/px, [N, 2, 2]."""
    return torch.linalg.inv(lattice.spread * turned(lattice, orientation)).transpose(1, 2)


def wave_vectors(lattice: FlatLattice, orientation: Tensor) -> Tensor:
    """Wave vectors of the charge-density waves along image axes 0 and 1, 1/px, [N, J, 2]."""
    q = torch.tensor([wave.q for wave in lattice.waves], dtype=torch.float64).view(-1, 2)
    return torch.einsum("nij,kj->nki", reciprocal(lattice, orientation), q)


def cut_off(lattice: FlatLattice) -> float:
    """Radius (px) beyond which an atom is not drawn: 4.5 times the largest sigma."""
    return 4.5 * lattice.spread * max(site.sigma for site in lattice.sites)


def place_sites(
    lattice: FlatLattice, orientation: Tensor, offset: Tensor, size: int, fault: Fault | None = None
) -> tuple[Atoms, Tensor]:
    """List the atoms that can be seen in images of ``size`` px, margin included.

    Args:
        lattice: The lattice.
        orientation: The last column is the turn, a fraction of ``rotation_max``, [N, 3].
        offset: Origin of the lattice as fractions of a and b; a third column is not used, [N, 3].
        size: Image height and width, px.
        fault: Faults of the crystals; None for none.

    Returns:
        The atoms, all of depth 0, and their indices in ``FlatLattice.sites``, [N, A] int64.
    """
    origin = offset.to("cpu", torch.float64)[:, :2].remainder(1)
    limit = (size // 2 + cut_off(lattice)) / lattice.spread
    cells, site = _cells(lattice, math.ceil(math.sqrt(2) * limit) + 3)
    fractions = (cells + origin[:, None]).expand(len(origin), -1, 2)
    axes = turned(lattice, orientation)
    seen = torch.ones(fractions.shape[:2], dtype=torch.bool)
    along = torch.zeros(seen.shape, dtype=torch.float64)
    if fault is not None:
        y = cells[:, 1] - fault.row[:, None]
        has = fault.present[:, None]
        beyond = has & (y > 1 - 1e-9)
        seen = ~has | beyond | (y < 1e-9)
        shift = torch.tensor([0.5, _GAP - 0.5], dtype=torch.float64)
        fractions = fractions + shift * beyond[..., None]
        away = (y + shift[1] * beyond - MIDDLE) * lattice.row
        along = has * fault.strain[:, None] * lattice.fault_reach * away.sign()
        along = along * (1 - torch.exp(-away.abs() / lattice.fault_reach))
    u, v = (fractions @ axes.transpose(1, 2)).unbind(2)
    if fault is not None:
        normal = torch.nn.functional.normalize(torch.linalg.inv(axes)[:, 1], dim=1)
        u, v = u + along * normal[:, :1], v + along * normal[:, 1:]
    seen = seen & (u.abs() <= limit) & (v.abs() <= limit)
    u, v, kind, present = pack(u, v, site.double().expand(seen.shape), seen)
    return Atoms(u, v, torch.zeros_like(u), present), kind.long()


def beyond_fault(
    lattice: FlatLattice, orientation: Tensor, offset: Tensor, size: int, fault: Fault
) -> Tensor:
    """Which pixels lie beyond a fault, [N, size, size] bool."""
    r = torch.arange(size, dtype=torch.float64) - size // 2
    star = reciprocal(lattice, orientation)[:, :, 1, None, None]
    y = star[:, 0] * r[:, None] + star[:, 1] * r - offset[:, 1].remainder(1)[:, None, None]
    return fault.present[:, None, None] & (y > fault.row[:, None, None] + MIDDLE)


@lru_cache(maxsize=64)
def _cells(lattice: FlatLattice, radius: int) -> tuple[Tensor, Tensor]:
    """Sites within ``radius`` lattice constants: fractions of a and b [M, 2] and kind [M]."""
    inverse = torch.linalg.inv(lattice.basis)
    reach = [math.ceil(radius * float(row.norm())) + 1 for row in inverse]
    i, j = (torch.arange(-n, n + 1, dtype=torch.float64) for n in reach)
    corners = torch.cartesian_prod(i, j)
    fractions = torch.cat(
        [corners + torch.tensor([site.x, site.y], dtype=torch.float64) for site in lattice.sites]
    )
    kind = torch.arange(len(lattice.sites)).repeat_interleave(len(corners))
    near = (fractions @ lattice.basis.T).norm(dim=1) <= radius
    return fractions[near], kind[near]


@lru_cache(maxsize=64)
def corrugation_of_cell(lattice: FlatLattice) -> float:
    """The 5-95 % range of the perfect lattice without its waves, in the topograph's unit."""
    n = 32
    grid = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float64) / n] * 2) @ lattice.basis.T
    fractions, kind = _cells(lattice, 6)
    atoms = fractions @ lattice.basis.T
    height, sigma = (
        torch.tensor([getattr(site, name) for site in lattice.sites], dtype=torch.float64)[kind]
        for name in ("height", "sigma")
    )
    r2 = torch.cdist(grid, atoms).square()
    values = (HEIGHT * height * torch.exp(-r2 / (2 * sigma**2))).sum(1)
    low, high = torch.quantile(values, torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
    return high - low
