"""All surfaces of the collection by name and kind."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from stm_experiments.benchmarks.quality.surfaces import extended, local
from stm_experiments.benchmarks.quality.surfaces.lattices import CELLS, Shape
from stm_experiments.benchmarks.quality.surfaces.surface import Surface, draw_host

DrawSurface = Callable[[np.random.Generator, Shape], Surface]


class Entry(NamedTuple):
    """A surface of the collection.

    Attributes:
        kind: The stratum to which it belongs.
        draw: Draws it.
    """

    kind: str
    draw: DrawSurface


def plain_lattice(name: str, rng: np.random.Generator, shape: Shape) -> Surface:
    """Draw a lattice without a feature."""
    return Surface(draw_host(rng, shape, name).ground)


def _kind_of(cell: str) -> str:
    """Return the stratum of a lattice: by the distance of its atoms."""
    if cell in ("hexagonal_5_8px", "square_9px", "honeycomb_9_13px"):
        return "fine lattice"
    return "wide lattice" if cell.endswith("30_60px") else "lattice"


LATTICE_ENTRIES = {name: Entry(_kind_of(name), partial(plain_lattice, name)) for name in CELLS}
FEATURE_ENTRIES = {
    "vacancies": Entry("changed atoms", local.vacancies),
    "dim_atoms": Entry("changed atoms", local.dim_atoms),
    "adatoms": Entry("changed atoms", local.adatoms),
    "holes": Entry("adsorbates", local.holes),
    "gaussian_adsorbates": Entry("adsorbates", local.gaussian_adsorbates),
    "ring_adsorbates": Entry("adsorbates", local.ring_adsorbates),
    "lobed_adsorbates": Entry("adsorbates", local.lobed_adsorbates),
    "molecules": Entry("bare", local.molecules),
    "charge_density_wave": Entry("waves", extended.charge_density_wave),
    "moire": Entry("waves", extended.moire),
    "standing_wave": Entry("waves", extended.standing_wave),
    "terraces": Entry("terraces", extended.terraces),
    "half_steps": Entry("terraces", extended.half_steps),
    "half_steps_along_rows": Entry("terraces", extended.half_steps_along_rows),
    "islands": Entry("terraces", extended.islands),
}
BARE_ENTRIES = {
    "amorphous_film": Entry("amorphous", extended.amorphous_film),
    "empty_terraces": Entry("bare", extended.empty_terraces),
    "empty": Entry("empty", extended.empty),
}
SURFACES = LATTICE_ENTRIES | FEATURE_ENTRIES | BARE_ENTRIES
