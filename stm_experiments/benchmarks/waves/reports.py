"""How often waves of the instrument and of the sample are taken for the instrument's.

Of hums and striations that were added to unseen lattices, and of the paper's on its own crystals:
the share that ``restoration.waves.instrument_waves`` names, within half a frequency step. Of
surfaces without a wave of the instrument (lattices, charge-density waves, moire, standing waves):
the share in which it names one. The surfaces are those of ``benchmarks.quality``, at numbers of
their own, with white noise of 0.1 c. A charge-density wave of one direction that leaves the lattice
as it is cannot be told from a hum by one trace. Each kind is judged twice: by one trace, and with
the other trace of the scan, in which noise is drawn anew and a hum is mirrored. The paper's
striations are of one trace: its images have no other.
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
from stm_experiments.restoration.waves.instrument_waves import find_suspected_waves
from stm_experiments.restoration.waves.plane_waves import strongest_wave
from stm_experiments.simulator import FLAT_LATTICES, LATTICES, NOISES, PRESETS, simulate

SHAPE = (224, 208)  # px
SIGMA = 0.1  # of white noise, c
FIRST = 1000  # number of the first case: the collection's own have lower ones
AMPLITUDES = (0.02, 0.05, 0.1, 0.3)  # of hums, c
CRYSTALS = ("sc", "bcc", "fcc")
NOISELESS = (*CRYSTALS, "zrte3", "tas2", "tise2")
SAMPLES = ("charge_density_wave", "moire", "standing_wave", *LATTICE_ENTRIES)


class _Example(NamedTuple):
    """One scan.

    Attributes:
        image: One trace, [H, W].
        kappa: Wave vector of its instrument's wave, rad per px, [2]; None: it has none.
        other: The other trace, [H, W]; None: there is none.
    """

    image: Tensor
    kappa: Array | None
    other: Tensor | None


def _hums(amplitude: float, count: int) -> Iterator[_Example]:
    """Draw lattices with a hum of 3 to 50 periods a row whose phase goes on from row to row."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    surfaces = list(LATTICE_ENTRIES)
    for number in range(count):
        across = 2 * math.pi * rng.uniform(3, 50) / SHAPE[1]
        down, *phases = rng.uniform(-math.pi, math.pi, 3)
        hums = [
            amplitude * np.cos(down * rows + way * across * columns + phase)
            for way, phase in zip((1, -1), phases, strict=True)
        ]
        traces = _traces(surfaces[number % len(surfaces)], number)
        image, other = (torch.from_numpy(x + hum) for x, hum in zip(traces, hums, strict=True))
        yield _Example(image, np.array([down, across]), other)


def _surfaces(surface: str, count: int) -> Iterator[_Example]:
    """Draw a surface without a wave of the instrument."""
    for number in range(count):
        image, other = _traces(surface, number)
        yield _Example(torch.from_numpy(image), None, torch.from_numpy(other))


def _traces(surface: str, number: int) -> tuple[Array, Array]:
    """Draw both traces of a surface, each with white noise of its own, [H, W]."""
    case = build_case(CaseName(surface, f"white_{SIGMA:g}", "development", FIRST + number, SHAPE))
    noise = np.random.default_rng(number).normal(0, SIGMA, SHAPE)
    return case.noisy, case.clean + noise


def _simulated(lattice: str, noise: str, count: int) -> Iterator[_Example]:
    """Simulate a lattice of the papers; the paper's noise has a striation."""
    preset = PRESETS["physical" if lattice in FLAT_LATTICES else "published"]
    striated = noise == "paper"
    seeds = range(FIRST, FIRST + count)
    seen = simulate(
        [LATTICES[lattice]] * count, seeds, NOISES[noise], preset, backward=not striated
    )
    for number, (image, clean) in enumerate(zip(seen.noisy[:, 0], seen.clean[:, 0], strict=True)):
        kappa = strongest_wave(image - clean, image).kappa.numpy() if striated else None
        other = None if seen.backward is None else seen.backward[number, 0].double()
        yield _Example(image.double(), kappa, other)


def _score(examples: list[_Example], *, both: bool) -> tuple[float, float]:
    """Return the shares of images in which the true wave is named, and in which another one is.

    Args:
        examples: Of one kind.
        both: Whether the other trace is used.
    """
    found, others = 0, 0
    for image, kappa, other in examples:
        step = math.pi / min(image.shape)  # half a frequency step, rad per px
        waves = find_suspected_waves(image, other if both else None)
        vectors = [np.array(wave.kappa) for wave in waves]
        true = [
            kappa is not None and min(np.linalg.norm(v - kappa), np.linalg.norm(v + kappa)) < step
            for v in vectors
        ]
        found, others = found + any(true), others + (not all(true))
    return found / len(examples), others / len(examples)


def report_table(count: int) -> Table:
    """Return a table of the shares, with so many images of each kind."""
    with_wave = {f"hum, {a:g} c": _hums(a, count) for a in AMPLITUDES}
    for name in CRYSTALS:
        with_wave[f"{name}, paper's striation"] = _simulated(name, "paper", count)
    without = {name: _surfaces(name, count) for name in SAMPLES}
    for name in NOISELESS:
        without[f"{name} without noise"] = _simulated(name, "none", count)
    columns = ("wave named", "other wave named", "both traces: named", "both traces: other named")
    table = Table("kind", "images", *columns, box=box.SIMPLE_HEAD)
    for kind, drawn in track((with_wave | without).items(), "reports"):
        examples = [*drawn]
        shares = []
        for both in (False, True):
            if both and examples[0].other is None:
                shares += ["-", "-"]
                continue
            found, others = _score(examples, both=both)
            shares += [f"{found:.0%}" if kind in with_wave else "-", f"{others:.0%}"]
        table.add_row(kind, str(len(examples)), *shares)
    return table
