"""A surface: what is there, and what of it is the feature that a denoiser must keep."""

from dataclasses import dataclass

import numpy as np

from stm_experiments.benchmarks.quality.surfaces.lattices import (
    CELLS,
    AtomSheet,
    Shape,
    corrugation,
    draw_atoms,
    draw_heights,
)
from stm_experiments.core.arrays import Array, Points

# Lattices under the features: fine and coarse, of one and of several atoms.
_HOSTS = ("oblique", "kagome", "lieb", "motif", "rows", "honeycomb_9_13px", "hexagonal_5_8px")


@dataclass(frozen=True)
class Surface:
    """A surface in units of its corrugation c, the 5-95 % range of the lattice.

    Attributes:
        ground: Heights without the feature, [H, W].
        feature: Heights that the feature adds, [H, W]; None: there is none.
        places: Centres of a feature that is local, px, [P, 2].
        reach: Radius of a local feature, px.
        carries: Whether the feature carries the lattice (a terrace), so that shot noise does not
            depend on it.
    """

    ground: Array
    feature: Array | None = None
    places: Points | None = None
    reach: float = 0.0
    carries: bool = False

    @property
    def heights(self) -> Array:
        """The whole surface, [H, W]."""
        return self.ground if self.feature is None else self.ground + self.feature

    @property
    def texture(self) -> Array:
        """What the shot noise depends on, [H, W]."""
        return self.ground if self.carries else self.heights


@dataclass(frozen=True)
class Host:
    """A lattice that will carry a feature.

    Attributes:
        atoms: Its atoms.
        ground: Heights, c, [H, W].
        unit: Height of one c in the unit of the atoms' heights.
    """

    atoms: AtomSheet
    ground: Array
    unit: float

    def changed(self, heights: Array) -> Array:
        """Return what other heights of the atoms add to the surface, c, [H, W]."""
        atoms, shape = self.atoms, (self.ground.shape[0], self.ground.shape[1])
        different = np.flatnonzero(heights != atoms.heights)
        change = (heights - atoms.heights)[different]
        return draw_heights(atoms.places[different], change / self.unit, atoms.width, shape)


def draw_host(rng: np.random.Generator, shape: Shape, name: str | None = None) -> Host:
    """Draw a lattice of the collection, of a given name or any that carries features."""
    atoms = draw_atoms(CELLS[name or str(rng.choice(_HOSTS))], rng, shape)
    heights = draw_heights(atoms.places, atoms.heights, atoms.width, shape)
    unit = corrugation(heights)
    return Host(atoms, (heights - heights.min()) / unit, unit)


def spread_out(places: Points, distance: float, most: int, rng: np.random.Generator) -> list[int]:
    """Choose at most so many of the places, in random order, at least a distance apart, px."""
    chosen: list[int] = []
    for i in rng.permutation(len(places)):
        if len(chosen) == most:
            break
        if (np.linalg.norm(places[chosen] - places[i], axis=1) >= distance).all():
            chosen.append(int(i))
    return chosen


def random_places(
    rng: np.random.Generator, shape: Shape, margin: float, distance: float, most: int
) -> Points:
    """Draw at most so many places off the border, at least a distance apart, px, [P, 2]."""
    margin = min(margin, 0.3 * min(shape))
    candidates = rng.uniform(margin, np.array(shape) - 1 - margin, (40 * most, 2))
    return candidates[spread_out(candidates, distance, most, rng)]
