"""Local features: changed atoms, holes, adsorbates, isolated molecules."""

import math
from collections.abc import Callable

import numpy as np

from stm_experiments.benchmarks.quality.surfaces.lattices import Shape, draw_heights
from stm_experiments.benchmarks.quality.surfaces.surface import (
    Host,
    Surface,
    draw_host,
    random_places,
    spread_out,
)
from stm_experiments.core.arrays import Array, Points

DrawOne = Callable[[Shape, Array, float, np.random.Generator], Array]


def vacancies(rng: np.random.Generator, shape: Shape) -> Surface:
    """Remove up to nine atoms."""
    return _changed_atoms(draw_host(rng, shape), rng, 0.0)


def dim_atoms(rng: np.random.Generator, shape: Shape) -> Surface:
    """Make up to nine atoms 25 to 60 % lower."""
    return _changed_atoms(draw_host(rng, shape), rng, rng.uniform(0.4, 0.75))


def adatoms(rng: np.random.Generator, shape: Shape) -> Surface:
    """Put up to nine atoms in hollow places, .4 to 1.2 c high."""
    host = draw_host(rng, shape)
    reach = 2.5 * host.atoms.width
    hollow = host.atoms.places + 0.5 * host.atoms.vectors.sum(0)
    inside = host.atoms.inside(shape, reach + host.atoms.spacing)
    places = hollow[inside][spread_out(hollow[inside], 6 * host.atoms.width + 8, 9, rng)]
    heights = np.full(len(places), rng.uniform(0.4, 1.2))
    feature = draw_heights(places, heights, host.atoms.width, shape)
    return Surface(host.ground, feature, places, reach)


def _changed_atoms(host: Host, rng: np.random.Generator, factor: float) -> Surface:
    """Multiply the heights of some high atoms, far from each other and from the border."""
    atoms, shape = host.atoms, (host.ground.shape[0], host.ground.shape[1])
    inside = atoms.inside(shape, 2.5 * atoms.width + 3)
    inside = inside[atoms.heights[inside] > 0.8 * atoms.heights.max()]
    chosen = inside[spread_out(atoms.places[inside], 6 * atoms.width + 8, 9, rng)]
    heights = atoms.heights.copy()
    heights[chosen] *= factor
    return Surface(host.ground, host.changed(heights), atoms.places[chosen], 2.5 * atoms.width)


def holes(rng: np.random.Generator, shape: Shape) -> Surface:
    """Sink up to five round holes, .6 to 1.5 c deep, flat at the bottom, 5 to 14 px wide."""
    host, radius = draw_host(rng, shape), rng.uniform(2.5, 7)
    places = random_places(rng, shape, radius + 8, 4 * radius + 12, 5)
    feature = np.zeros(shape)
    for place in places:
        feature -= _disc(shape, place, radius)
    return Surface(host.ground, rng.uniform(0.6, 1.5) * feature, places, radius + 2)


def gaussian_adsorbates(rng: np.random.Generator, shape: Shape) -> Surface:
    """Put up to seven round adsorbates, bright or dark, on a lattice."""
    return _adsorbates(rng, shape, _gaussian)


def ring_adsorbates(rng: np.random.Generator, shape: Shape) -> Surface:
    """Put up to seven dark adsorbates with a faint bright ring on a lattice."""
    return _adsorbates(rng, shape, _ring)


def lobed_adsorbates(rng: np.random.Generator, shape: Shape) -> Surface:
    """Put up to seven adsorbates of two to four lobes on a lattice."""
    return _adsorbates(rng, shape, _lobes)


def molecules(rng: np.random.Generator, shape: Shape) -> Surface:
    """Put up to twelve lobed molecules on bare ground; their height is c."""
    width = rng.uniform(2, 5)
    places = random_places(rng, shape, 4 * width + 4, 8 * width + 8, 12)
    feature = np.zeros(shape)
    for place in places:
        feature += _lobes(shape, place, width, rng)
    return Surface(np.zeros(shape), feature / feature.max(), places, 3 * width)


def _adsorbates(rng: np.random.Generator, shape: Shape, draw_one: DrawOne) -> Surface:
    """Put adsorbates of one shape on a lattice, all of one width and height."""
    host, width = draw_host(rng, shape), rng.uniform(2, 6)
    places = random_places(rng, shape, 4 * width + 4, 8 * width + 8, 7)
    height = rng.uniform(0.5, 2) * rng.choice([-1, 1])
    feature = np.zeros(shape)
    for place in places:
        feature += draw_one(shape, place, width, rng)
    return Surface(host.ground, height * feature, places, 3 * width)


def _distance(shape: Shape, place: Array) -> Array:
    """Return the distance of each pixel from a place, px, [H, W]."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance: Array = np.hypot(rows - place[0], columns - place[1])
    return distance


def _disc(shape: Shape, place: Array, radius: float) -> Array:
    """Draw a disc of height 1 whose edge is soft over about 1 px."""
    heights: Array = 0.5 - 0.5 * np.tanh((_distance(shape, place) - radius) / 0.7)
    return heights


def _gaussian(shape: Shape, place: Array, width: float, rng: np.random.Generator) -> Array:
    """Draw a Gaussian of height 1."""
    heights: Array = np.exp(-0.5 * (_distance(shape, place) / width) ** 2)
    return heights


def _ring(shape: Shape, place: Array, width: float, rng: np.random.Generator) -> Array:
    """Draw a Gaussian of height -1 in a ring of height 5 to 20 %."""
    distance, height = _distance(shape, place), rng.uniform(0.05, 0.2)
    ring = np.exp(-0.5 * ((distance - 2.5 * width) / (0.5 * width)) ** 2)
    heights: Array = height * ring - np.exp(-0.5 * (distance / width) ** 2)
    return heights


def _lobes(shape: Shape, place: Array, width: float, rng: np.random.Generator) -> Array:
    """Draw two to four Gaussians around a place."""
    count, turn = int(rng.integers(2, 5)), rng.uniform(0, 2 * math.pi)
    angles = turn + 2 * math.pi * np.arange(count) / count
    places: Points = place + 1.2 * width * np.column_stack([np.cos(angles), np.sin(angles)])
    return draw_heights(places, np.ones(count), 0.6 * width, shape)
