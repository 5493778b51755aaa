"""The noises of the frozen collection, by name and kind."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy
import torch
from PIL import Image

from stm_experiments.benchmarks.quality.surfaces.lattices import Shape
from stm_experiments.core.arrays import Array
from stm_experiments.core.seeds import generator
from stm_experiments.simulator import LATTICES, NOISES, Defects, Noise, SampleNoise, ScanNoise
from stm_experiments.simulator.microscope.path import ScanPath
from stm_experiments.simulator.scene import Scene, Trace

_SCALE = LATTICES["sc"]  # whose lattice constant is the unit of a double tip's distance
_LARGEST = 4.0  # the simulator's topographs span about 0 to 4

AddNoise = Callable[[Array, Array, int], Array]
"""(heights, texture, seed) -> recorded heights; all in c, [H, W]."""


class PixelNoise(NamedTuple):
    """Noise that is added to the pixels of an image.

    Attributes:
        kind: The stratum to which it belongs.
        add: Adds it.
        sigma: Standard deviation of white noise, c; None: it is not white.
    """

    kind: str
    add: AddNoise
    sigma: float | None = None


class ScannerNoise(NamedTuple):
    """Noise of the simulator, in its acquisition order.

    Attributes:
        kind: The stratum to which it belongs.
        noise: Its strengths.
        sigma: None: it is not white.
    """

    kind: str
    noise: Noise
    sigma: None = None


def _white(sigma: float) -> AddNoise:
    def add(heights: Array, texture: Array, seed: int) -> Array:
        return heights + np.random.default_rng(seed).normal(0, sigma, heights.shape)

    return add


def _poisson(dose: float) -> AddNoise:
    """Count so many quanta per c above a background of .2 c."""

    def add(heights: Array, texture: Array, seed: int) -> Array:
        signal = texture - texture.min() + 0.2
        # Quantiles of fixed uniform numbers: two similar surfaces have almost the same noise.
        uniform = np.random.default_rng(seed).random(signal.shape)
        counts: Array = scipy.stats.poisson.ppf(uniform, dose * signal)
        noise: Array = counts / dose - signal
        return heights + noise

    return add


def _blobs(width: float) -> AddNoise:
    """Add noise of .15 c that is correlated like a Gaussian of so many px."""

    def add(heights: Array, texture: Array, seed: int) -> Array:
        field = np.random.default_rng(seed).normal(size=heights.shape)
        blurred = scipy.ndimage.gaussian_filter(field, width, mode="wrap")
        added: Array = 0.15 * blurred / blurred.std()
        return heights + added

    return add


def _as_bytes(heights: Array) -> tuple[Array, float, float]:
    """Return heights as whole numbers of 0 to 255, with the lowest height and the step."""
    low = float(heights.min())
    step = max(float(np.ptp(heights)), 1e-3) / 255
    return np.rint((heights - low) / step), low, step


def _eight_bit(heights: Array, texture: Array, seed: int) -> Array:
    levels, low, step = _as_bytes(heights)
    return levels * step + low


def _jpeg(heights: Array, texture: Array, seed: int) -> Array:
    """Save as JPEG of quality 20 to 60."""
    levels, low, step = _as_bytes(heights)
    file = io.BytesIO()
    quality = int(np.random.default_rng(seed).integers(20, 61))
    Image.fromarray(levels.astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), dtype=np.float64) * step + low


def _salt_and_pepper(heights: Array, texture: Array, seed: int) -> Array:
    """Set 1 to 3 % of the pixels to the lowest or highest height."""
    rng = np.random.default_rng(seed)
    hit = rng.random(heights.shape) < rng.uniform(0.01, 0.03)
    ends = rng.choice([heights.min(), max(heights.max(), heights.min() + 1)], heights.shape)
    return np.where(hit, ends, heights)


def _of_scanner(name: str) -> Noise:
    """Return the simulator's noise of a name without what belongs to the sample."""
    return replace(NOISES[name], sample=SampleNoise(), defects=Defects())


WHITE = (0.003, 0.01, 0.03, 0.1, 0.3, 0.6)  # c
CollectionNoise = PixelNoise | ScannerNoise
COLLECTION_NOISES: dict[str, CollectionNoise] = {
    **{
        f"white_{sigma:g}": PixelNoise(
            "white .003-.01" if sigma < 0.03 else "white .03-.6", _white(sigma), sigma
        )
        for sigma in WHITE
    },
    **{f"poisson_{dose}": PixelNoise("poisson", _poisson(dose)) for dose in (1000, 100, 10)},
    "pink": ScannerNoise("coloured", Noise(scan=ScanNoise(pink=(0.05, 0.3)))),
    "rows": ScannerNoise("coloured", Noise(scan=ScanNoise(row_offset=(0.05, 0.4)))),
    "hum": ScannerNoise("coloured", Noise(scan=ScanNoise(hum=(0.05, 0.3)))),
    **{f"blobs_{width}px": PixelNoise("coloured", _blobs(width)) for width in (1, 2, 3)},
    "8_bit": PixelNoise("rounding", _eight_bit),
    "jpeg": PixelNoise("rounding", _jpeg),
    "salt_and_pepper": PixelNoise("impulses", _salt_and_pepper),
    "paper": ScannerNoise("paper", _of_scanner("paper")),
    "realistic": ScannerNoise("realistic", _of_scanner("realistic")),
    "realistic_hard": ScannerNoise("realistic", _of_scanner("realistic_hard")),
}


def canvas_of(noise: CollectionNoise, shape: Shape) -> Shape:
    """Return the shape of the surface of which a scan shows this shape, px."""
    if isinstance(noise, PixelNoise):
        return shape
    side = max(shape) + 2 * _border(noise.noise, max(shape))
    return side, side


def record(
    noise: CollectionNoise, heights: Array, texture: Array, seed: int, shape: Shape
) -> tuple[Array, Array]:
    """Record a surface: return the scan without and with noise, c, [H, W] each.

    Args:
        noise: Of the collection.
        heights: Of the canvas.
        texture: What shot noise depends on, on the canvas.
        seed: Of the noise.
        shape: Of the scan, px.
    """
    if isinstance(noise, PixelNoise):
        return heights, noise.add(heights, texture, seed)
    unit = _LARGEST / max(float(np.ptp(texture)), 1.0)  # of a c in the simulator
    path = _path(noise.noise, max(shape), seed)
    sample, flat = (
        torch.from_numpy((x - texture.min()) * unit).float()[None, None] for x in (heights, texture)
    )
    scene = Scene(
        lattice=_SCALE,
        seeds=[seed],
        sample=sample,
        path=path,
        flat=path.image(flat).clamp(min=0),
        corrugation=torch.tensor([unit], dtype=torch.float64),
        striation_draws=torch.rand(1, 2, generator=generator(seed), dtype=torch.float64),
        generators={Trace.FORWARD: [generator(seed, "detector")]},
    )
    clean = path.image(sample)
    noisy = clean.clone()
    for effect in noise.noise.effects:
        draws = effect.draw(scene)
        if draws:
            noisy = effect.apply(noisy, draws, scene, Trace.FORWARD).image
    rows, columns = shape
    without, with_noise = (
        x[0, 0, :rows, :columns].double().numpy() / unit + texture.min() for x in (clean, noisy)
    )
    return without, with_noise


def moved_places(noise: CollectionNoise, places: Array, seed: int, shape: Shape) -> Array:
    """Return where a scan shows places of its canvas, px, [P, 2]."""
    if isinstance(noise, PixelNoise):
        return places
    path = _path(noise.noise, max(shape), seed)
    scanned = np.arange(path.size)[:, None] + path.moved[0].numpy() * (1, 0) + path.border
    line = np.abs(scanned[None, :, 0] - places[:, :1]).argmin(1)
    column = places[:, 1] - path.border - path.moved[0, line, 1].numpy()
    return np.column_stack([line, column])


def _border(noise: Noise, side: int) -> int:
    """Return by how much the canvas is larger than the scan on each side, px."""
    return noise.motion.border(noise.tip.largest_jump, side) + noise.tip.reach(_SCALE)


def _path(noise: Noise, side: int, seed: int) -> ScanPath:
    """Draw where the lines of a scan run."""
    moved = noise.motion.draw(side, [seed])
    if noise.tip.changes:
        moved = moved + noise.tip.draw_jumps(side, [seed])
    return ScanPath(moved, _border(noise, side))
