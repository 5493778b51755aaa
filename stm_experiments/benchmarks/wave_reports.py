"""How often waves of the instrument and of the sample are taken for the instrument's.

Of hums and striations that were added to unseen lattices, and of the paper's on its own crystals:
the share that ``restoration.instrument_waves`` names, within half a frequency step. Of surfaces
without a wave of the instrument (lattices, charge-density waves, moire, standing waves): the share
in which it names one. The surfaces are those of ``benchmarks.quality``, at numbers of their own. A
charge-density wave of one direction that leaves the lattice as it is cannot be told from a hum.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from rich import box
from rich.progress import track
from rich.table import Table
from torch import Tensor

from stm_experiments.benchmarks.quality.collection import CaseName, build_case
from stm_experiments.benchmarks.quality.surfaces.catalogue import LATTICE_ENTRIES
from stm_experiments.core.arrays import Array
from stm_experiments.restoration.instrument_waves import find_suspected_waves
from stm_experiments.restoration.plane_waves import strongest_wave
from stm_experiments.simulator import FLAT_LATTICES, LATTICES, NOISES, PRESETS, simulate

SHAPE = (224, 208)  # px
FIRST = 1000  # number of the first case: the collection's own have lower ones
AMPLITUDES = (0.02, 0.05, 0.1, 0.3)  # of hums, c
SAMPLES = ("charge_density_wave", "moire", "standing_wave", *LATTICE_ENTRIES)


class _Example(NamedTuple):
    """An image [H, W] and the wave vector of its instrument's wave, rad per px, [2], or None."""

    image: Tensor
    kappa: Array | None


def _hums(amplitude: float, noise: str, count: int) -> Iterator[_Example]:
    """Draw lattices with a hum of 3 to 50 periods a row whose phase goes on from row to row."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    surfaces = list(LATTICE_ENTRIES)
    for number in range(count):
        surface = surfaces[number % len(surfaces)]
        case = build_case(CaseName(surface, noise, "development", FIRST + number, SHAPE))
        across = 2 * math.pi * rng.uniform(3, 50) / SHAPE[1]
        down, phase = rng.uniform(-math.pi, math.pi, 2)
        hum = amplitude * np.cos(down * rows + across * columns + phase)
        yield _Example(torch.from_numpy(case.noisy + hum), np.array([down, across]))


def _surfaces(surface: str, noise: str, count: int) -> Iterator[_Example]:
    """Draw a surface without a wave of the instrument."""
    for number in range(count):
        case = build_case(CaseName(surface, noise, "development", FIRST + number, SHAPE))
        yield _Example(torch.from_numpy(case.noisy), None)


def _simulated(lattice: str, noise: str, count: int) -> Iterator[_Example]:
    """Simulate a lattice of the papers; the paper's noise has a striation."""
    preset = PRESETS["physical" if lattice in FLAT_LATTICES else "published"]
    seen = simulate([LATTICES[lattice]] * count, range(FIRST, FIRST + count), NOISES[noise], preset)
    for image, clean in zip(seen.noisy[:, 0].double(), seen.clean[:, 0].double(), strict=True):
        striated = noise == "paper"
        kappa = strongest_wave(image - clean, image).kappa.numpy() if striated else None
        yield _Example(image, kappa)


def _score(examples: Iterator[_Example]) -> tuple[int, int, int]:
    """Return the numbers of images, of found true waves, and of images with another suspect."""
    images, found, others = 0, 0, 0
    for image, kappa in examples:
        step = math.pi / min(image.shape)  # half a frequency step, rad per px
        vectors = [np.array(wave.kappa) for wave in find_suspected_waves(image)]
        true = [
            kappa is not None and min(np.linalg.norm(v - kappa), np.linalg.norm(v + kappa)) < step
            for v in vectors
        ]
        images, found, others = images + 1, found + any(true), others + (not all(true))
    return images, found, others


def report_table(count: int, noise: str = "white_0.1") -> Table:
    """Return a table of the shares, with so many images of each kind.

    Args:
        count: Number of images.
        noise: A noise of ``benchmarks.quality``.
    """
    crystals = ("sc", "bcc", "fcc")
    with_wave = {f"hum, {a:g} c": _hums(a, noise, count) for a in AMPLITUDES}
    for name in crystals:
        with_wave[f"{name}, paper's striation"] = _simulated(name, "paper", count)
    without = {name: _surfaces(name, noise, count) for name in SAMPLES}
    for name in (*crystals, "zrte3", "tas2", "tise2"):
        without[f"{name} without noise"] = _simulated(name, "none", count)
    table = Table("kind", "images", "wave named", "other wave named", box=box.SIMPLE_HEAD)
    for kind, examples in track((with_wave | without).items(), "reports"):
        images, found, others = _score(examples)
        share = f"{found / images:.0%}" if kind in with_wave else "-"
        table.add_row(kind, str(images), share, f"{others / images:.0%}")
    return table
