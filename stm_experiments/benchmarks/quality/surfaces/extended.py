"""Extended features: waves of the sample, terraces, islands, and surfaces without a lattice."""

import math

import numpy as np
import scipy

from stm_experiments.benchmarks.quality.surfaces.lattices import Shape, corrugation
from stm_experiments.benchmarks.quality.surfaces.surface import Surface, draw_host
from stm_experiments.core.arrays import Array


def charge_density_wave(rng: np.random.Generator, shape: Shape) -> Surface:
    """Add one or three plane waves of 6 to 40 px and .08 to .25 c (amplitude) to a lattice."""
    host = draw_host(rng, shape)
    period, amplitude = 6 * (40 / 6) ** rng.random(), rng.uniform(0.08, 0.25)
    count = int(rng.choice([1, 3]))
    return Surface(host.ground, amplitude * _waves(rng, shape, period, count))


def moire(rng: np.random.Generator, shape: Shape) -> Surface:
    """Modulate the heights of a lattice's atoms by three waves of 25 to 60 px."""
    host = draw_host(rng, shape)
    period, strength = rng.uniform(25, 60), rng.uniform(0.1, 0.25)
    pattern = _waves(rng, shape, period, 3)
    rows, columns = np.rint(host.atoms.places).astype(int).T
    nearest = pattern[rows.clip(0, shape[0] - 1), columns.clip(0, shape[1] - 1)]
    return Surface(host.ground, host.changed(host.atoms.heights * (1 + strength * nearest)))


def standing_wave(rng: np.random.Generator, shape: Shape) -> Surface:
    """Add a wave around a point, of 12 to 60 px and .1 to .3 c, that decays with the distance."""
    host = draw_host(rng, shape)
    period, amplitude = rng.uniform(12, 60), rng.uniform(0.1, 0.3)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    row, column = rng.uniform(-0.3, 1.3, 2) * shape
    distance = np.hypot(rows - row, columns - column)
    wave = np.cos(2 * math.pi * distance / period + rng.uniform(0, 2 * math.pi))
    return Surface(host.ground, amplitude * wave / np.sqrt(1 + distance / (2 * period)))


def terraces(rng: np.random.Generator, shape: Shape) -> Surface:
    """Raise a lattice by one to three steps of .3 to 5 c."""
    heights = 0.3 * (5 / 0.3) ** rng.random(int(rng.integers(1, 4)))
    return _stepped(rng, shape, heights, rng.uniform(0, 2 * math.pi))


def half_steps(rng: np.random.Generator, shape: Shape) -> Surface:
    """Raise a lattice by two steps of half a corrugation, in any direction."""
    return _stepped(rng, shape, np.full(2, 0.5), rng.uniform(0, 2 * math.pi))


def half_steps_along_rows(rng: np.random.Generator, shape: Shape) -> Surface:
    """Raise a lattice by two steps of half a corrugation, along the fast axis of the scan."""
    return _stepped(rng, shape, np.full(2, 0.5), 0.0)


def islands(rng: np.random.Generator, shape: Shape) -> Surface:
    """Raise a lattice by islands of .4 to 3 c that cover about a third of the image."""
    host = draw_host(rng, shape)
    field = _smooth_field(rng, shape, rng.uniform(14, 30))
    inside = (field - np.quantile(field, 0.67)) / 0.06
    heights = rng.uniform(0.4, 3) * (0.5 + 0.5 * np.tanh(inside))
    return Surface(host.ground, heights, carries=True)


def amorphous_film(rng: np.random.Generator, shape: Shape) -> Surface:
    """Draw a random film with hills of 6 to 20 px."""
    film = _smooth_field(rng, shape, rng.uniform(2, 7))
    return Surface((film - film.min()) / corrugation(film))


def empty_terraces(rng: np.random.Generator, shape: Shape) -> Surface:
    """Draw bare terraces; the first step is 1 c high."""
    steps = _steps(rng, shape, np.array([1.0, rng.uniform(0.5, 2)]), rng.uniform(0, 2 * math.pi))
    return Surface(np.zeros(shape), steps, carries=True)


def empty(rng: np.random.Generator, shape: Shape) -> Surface:
    """Draw nothing: what a denoiser returns is its own; c is 1."""
    return Surface(np.zeros(shape))


def _stepped(rng: np.random.Generator, shape: Shape, heights: Array, direction: float) -> Surface:
    """Raise a lattice by steps."""
    ground = draw_host(rng, shape).ground
    return Surface(ground, _steps(rng, shape, heights, direction), carries=True)


def _steps(rng: np.random.Generator, shape: Shape, heights: Array, direction: float) -> Array:
    """Draw steps across the image, up or down, soft over .5 to 1.5 px.

    Args:
        rng: Random stream.
        shape: Of the image, px.
        heights: Of the steps.
        direction: Of their normal against axis 0, rad.
    """
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    along = (rows - (shape[0] - 1) / 2) * math.cos(direction)
    along = along + (columns - (shape[1] - 1) / 2) * math.sin(direction)
    low, high = np.quantile(along, (0.15, 0.85))
    edges = np.linspace(low, high, 2 * len(heights) + 1)[1::2]
    softness, total = rng.uniform(0.5, 1.5), np.zeros(shape)
    for height, edge in zip(heights, edges, strict=True):
        place = edge + rng.uniform(-0.1, 0.1) * (high - low) / len(heights)
        total += height * rng.choice([-1, 1]) * 0.5 * np.tanh((along - place) / softness)
    heights_from_zero: Array = total - total.min()
    return heights_from_zero


def _waves(rng: np.random.Generator, shape: Shape, period: float, count: int) -> Array:
    """Sum plane waves of amplitude 1 and equal period, at equal angles, [H, W]."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    turn = rng.uniform(0, math.pi)
    total = np.zeros(shape)
    for k in range(count):
        angle = turn + math.pi * k / count
        along = rows * math.cos(angle) + columns * math.sin(angle)
        total += np.cos(2 * math.pi * along / period + rng.uniform(0, 2 * math.pi))
    return total


def _smooth_field(rng: np.random.Generator, shape: Shape, width: float) -> Array:
    """Draw white noise blurred by a Gaussian, of standard deviation 1, [H, W]."""
    field = scipy.ndimage.gaussian_filter(rng.normal(size=shape), width, mode="wrap")
    normed: Array = (field - field.mean()) / field.std()
    return normed
