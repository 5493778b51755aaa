"""Surfaces of any kind: random crystals, amorphous films, waves, terraces, islands, adsorbates."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.seeds import image_stream

_CRYSTALS = 0.8  # share of the surfaces


class Dice:
    """Random numbers of one purpose in one image.

    Args:
        seed: The image's seed.
        purpose: What the numbers are for; other purposes have other numbers.
    """

    def __init__(self, seed: int, purpose: str) -> None:
        self.generator = image_stream(seed, purpose)

    def uniform(self, low: float, high: float) -> float:
        """Draw a number between two bounds."""
        return low + (high - low) * float(torch.rand(1, generator=self.generator))

    def log_uniform(self, low: float, high: float) -> float:
        """Draw a number between two positive bounds, all factors being equally likely."""
        return low * math.exp(math.log(high / low) * self.uniform(0, 1))

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number between two bounds, both included."""
        return int(torch.randint(low, high + 1, (1,), generator=self.generator))

    def happens(self, chance: float) -> bool:
        """Draw whether something happens."""
        return self.uniform(0, 1) < chance

    def sign(self) -> float:
        """Draw -1 or 1."""
        return 1.0 if self.happens(0.5) else -1.0

    def normals(self, *shape: int) -> Tensor:
        """Draw standard normal numbers."""
        return torch.randn(shape, generator=self.generator)

    def uniforms(self, *shape: int) -> Tensor:
        """Draw numbers in [0, 1)."""
        return torch.rand(shape, generator=self.generator)


def draw_any_surface(seed: int, size: int) -> Tensor:
    """Draw the heights of a random surface, a pure function of its seed.

    A crystal of an arbitrary Bravais lattice with one to five atoms per cell (4 to 60 px per
    lattice constant), an amorphous film or an empty terrace; its corrugation is 1. On it lie, each
    in some of the surfaces, plane and circular waves, terraces, islands, adsorbates and a bow. The
    shares of all kinds are in the functions that draw them.

    Args:
        seed: The image's seed.
        size: Height and width, px.

    Returns:
        [size, size] float32.
    """
    dice = Dice(seed, "any surface")
    kind = dice.uniform(0, 1)
    if kind < _CRYSTALS:
        heights = _corrugated(_crystal(Dice(seed, "crystal"), size))
        if dice.happens(0.1):
            other = _corrugated(_crystal(Dice(seed, "other crystal"), size))
            heights = torch.lerp(heights, other, _edge(dice, size))
    elif kind < 0.9:
        heights = _corrugated(_film(Dice(seed, "film"), size))
    else:
        heights = torch.zeros(size, size)
    overlays: tuple[tuple[str, float, Callable[[Dice, int], Tensor]], ...] = (
        ("waves", 0.3, _waves),
        ("terraces", 0.25, _terraces),
        ("islands", 0.1, _islands),
        ("adsorbates", 0.35, _adsorbates),
        ("bow", 0.2, _bow),
    )
    for name, chance, draw in overlays:
        if dice.happens(chance):
            heights = heights + draw(Dice(seed, name), size)
    if dice.happens(0.3):
        heights = _blurred(heights, dice.uniform(0.3, 1.2))
    return heights


def is_crystal(seed: int) -> bool:
    """Return whether the random surface of a seed is a crystal, whatever lies on it."""
    return Dice(seed, "any surface").uniform(0, 1) < _CRYSTALS


def _corrugated(heights: Tensor) -> Tensor:
    """Scale heights to a corrugation (5-95 % range) of 1, from 0 to 1."""
    low, high = torch.quantile(heights.flatten()[::3], torch.tensor([0.05, 0.95]))
    scaled: Tensor = (heights - low) / (high - low).clamp(min=1e-3)
    return scaled


def _crystal(dice: Dice, size: int) -> Tensor:
    """Draw a lattice with a motif, displaced and missing atoms, strain and its own contrast."""
    a = dice.log_uniform(4, 60)
    gamma = (60.0, 90.0, dice.uniform(55, 125))[dice.whole(0, 2)]
    ratio = 1.0 if dice.happens(0.6) else dice.uniform(1, 1.8)
    most = max(1, min(5, int(a * a * ratio / 16)))
    motif = dice.whole(1, most) if dice.happens(0.6) else 1
    spacing = a * math.sqrt(ratio / motif)  # px between atoms, about
    turn = dice.uniform(0, 2 * math.pi)
    angles = torch.tensor([turn, turn + math.radians(gamma)])
    vectors = torch.tensor([[a], [a * ratio]]) * torch.stack((angles.sin(), angles.cos()), 1)
    reach = size + 4 * spacing
    cells = math.ceil(1.5 * reach / (a * math.sin(math.radians(gamma)))) + 1
    steps = torch.arange(-cells, cells + 1, dtype=torch.float32)
    places = torch.cartesian_prod(steps, steps)
    basis = dice.uniforms(motif, 2)
    weights = 0.25 + 0.75 * dice.uniforms(motif)
    weights = torch.where(dice.uniforms(motif) < 0.1, -weights, weights)
    positions = ((places[:, None] + basis) @ vectors + size / 2).reshape(-1, 2)
    heights = weights.repeat(len(places))
    near = ((positions > -2 * spacing) & (positions < size + 2 * spacing)).all(1)
    positions, heights = positions[near], heights[near]
    if dice.happens(0.8):
        positions = positions + dice.uniform(0, 0.05) * spacing * dice.normals(len(positions), 2)
    if dice.happens(0.5):
        heights = heights * (1 + dice.uniform(0, 0.2) * dice.normals(len(heights)))
    if dice.happens(0.5):
        faulty = dice.uniforms(len(heights)) < dice.uniform(0, 0.06)
        heights = torch.where(faulty, heights * dice.uniform(0, 2), heights)
    if dice.happens(0.4):
        positions = positions + _strain(dice, positions, size)
    sigma = max(0.75, dice.uniform(0.16, 0.36) * spacing)
    picture = _gaussians(positions, heights, torch.full_like(heights, sigma), size)
    if dice.happens(0.4):
        low, high = picture.min(), picture.max()
        scaled = (picture - low) / (high - low).clamp(min=1e-6)
        picture = scaled.pow(dice.log_uniform(0.6, 1.8))
    return picture


def _strain(dice: Dice, positions: Tensor, size: int) -> Tensor:
    """Return displacements [A, 2] px of a slow drift along either axis."""
    phase = 2 * math.pi * (positions / size * dice.uniform(0.2, 1.0) + dice.uniforms(1, 2))
    return dice.uniform(0, 0.02) * size * torch.sin(phase).flip(1) / math.pi


def _gaussians(positions: Tensor, heights: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Return the sum of Gaussians at positions [A, 2] px, [size, size], by one product."""
    pixel = torch.arange(size, dtype=torch.float32)
    rows, columns = (
        torch.exp(-0.5 * ((pixel - positions[:, axis, None]) / sigma[:, None]) ** 2)
        for axis in (0, 1)
    )
    picture: Tensor = (heights[:, None] * rows).T @ columns
    return picture


def _film(dice: Dice, size: int) -> Tensor:
    """Draw an amorphous film: grains at random places."""
    spacing = dice.log_uniform(5, 30)
    count = max(3, round(((size + 2 * spacing) / spacing) ** 2))
    positions = dice.uniforms(count, 2) * (size + 2 * spacing) - spacing
    heights = 0.3 + 0.7 * dice.uniforms(count)
    sigma = spacing * (0.25 + 0.25 * dice.uniforms(count))
    return _gaussians(positions, heights, sigma.clamp(min=0.8), size)


def _axes(size: int) -> tuple[Tensor, Tensor]:
    """Return the coordinates of all pixels along axes 0 and 1, px from the centre."""
    pixel = torch.arange(size, dtype=torch.float32) - size / 2
    return pixel[:, None], pixel[None, :]


def _waves(dice: Dice, size: int) -> Tensor:
    """Draw one to three waves of 5 to 70 px: plane ones, or standing ones around a point."""
    rows, columns = _axes(size)
    total = torch.zeros(size, size)
    for _ in range(dice.whole(1, 3)):
        k = 2 * math.pi / dice.log_uniform(5, 70)
        amplitude = dice.log_uniform(0.03, 0.6)
        angle, phase = dice.uniform(0, math.pi), dice.uniform(0, 2 * math.pi)
        if dice.happens(0.25):
            centre = (dice.uniforms(2) - 0.5) * size
            distance = torch.hypot(rows - centre[0], columns - centre[1])
            decay = torch.rsqrt(1 + distance * (k / 4))
            total += amplitude * decay * torch.cos(k * distance + phase)
        else:
            across = math.cos(angle) * rows + math.sin(angle) * columns
            total += amplitude * torch.cos(k * across + phase)
    return total


def _edge(dice: Dice, size: int) -> Tensor:
    """Return 0 on one side of a random curve through the image, 1 on the other, [size, size]."""
    rows, columns = _axes(size)
    angle = dice.uniform(0, 2 * math.pi)
    if dice.happens(0.3):  # along the scan lines, where noise and step are hardest to tell apart
        angle = math.pi * dice.whole(0, 1) + 0.1 * dice.uniform(-1, 1)
    across = math.cos(angle) * rows + math.sin(angle) * columns
    along = math.cos(angle) * columns - math.sin(angle) * rows
    bend = torch.zeros_like(across)
    if dice.happens(0.6):
        k = 2 * math.pi / dice.log_uniform(20, 3 * size)
        bend = dice.uniform(0, 0.6) / k * torch.sin(k * along + dice.uniform(0, 2 * math.pi))
    distance = across + bend + dice.uniform(-0.4, 0.4) * size
    return torch.sigmoid(distance * (1.7 / dice.uniform(0.4, 2)))


def _terraces(dice: Dice, size: int) -> Tensor:
    """Draw one to three steps of .15 to 4 corrugations."""
    total = torch.zeros(size, size)
    for _ in range(dice.whole(1, 3)):
        total += dice.sign() * dice.log_uniform(0.15, 4) * _edge(dice, size)
    return total


def _islands(dice: Dice, size: int) -> Tensor:
    """Draw islands or holes with flat tops and irregular edges."""
    coarse = F.interpolate(
        dice.normals(1, 1, *(max(4, size // dice.whole(12, 40)),) * 2),
        (size, size),
        mode="bicubic",
        align_corners=True,
    )[0, 0]
    level, sharpness = dice.uniform(0.2, 1.2), dice.uniform(4, 15)
    return dice.sign() * dice.log_uniform(0.2, 3) * torch.sigmoid(sharpness * (coarse - level))


def _adsorbates(dice: Dice, size: int) -> Tensor:
    """Draw one to ten adsorbates or holes of one shape: round, flat, lobed or with a ring."""
    rows, columns = _axes(size)
    height, sigma = dice.sign() * dice.log_uniform(0.15, 4), dice.log_uniform(1.2, 12)
    shape, turn = dice.whole(0, 3), dice.uniform(0, math.pi)
    ring, wide = dice.uniform(-0.3, 0.3), dice.uniform(1.5, 3)
    total = torch.zeros(size, size)
    for _ in range(dice.whole(1, 10)):
        centre = (dice.uniforms(2) - 0.5) * size
        down, across = (rows - centre[0]) / sigma, (columns - centre[1]) / sigma
        square = down**2 + across**2
        if shape == 0:
            profile = torch.exp(-square / 2)
        elif shape == 1:
            profile = torch.exp(-((square / 2) ** 3))
        elif shape == 2:
            along = math.cos(turn) * down + math.sin(turn) * across
            profile = along.square() * torch.exp(-square / 2)
        else:
            profile = torch.exp(-square / 2) + ring * torch.exp(-((square.sqrt() - wide) ** 2) * 2)
        total += height * profile
    return total


def _bow(dice: Dice, size: int) -> Tensor:
    """Draw a smooth background of up to two corrugations."""
    rows, columns = (axis / size for axis in _axes(size))
    terms = (rows**2, columns**2, rows * columns, rows, columns)
    factors = dice.normals(len(terms)).tolist()
    total = sum((factor * term for factor, term in zip(factors, terms, strict=True)), rows * 0)
    return dice.log_uniform(0.2, 2) * total


def _blurred(heights: Tensor, sigma: float) -> Tensor:
    """Return heights seen by a blunt tip: a Gaussian of ``sigma`` px."""
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None, None]
    padded = F.pad(heights[None, None], (reach,) * 4, "replicate")
    return F.conv2d(F.conv2d(padded, kernel), kernel.mT)[0, 0]
