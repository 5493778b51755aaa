"""Strengths of artefacts: a number, or a range from which each image draws its own number.

Every artefact draws from streams of its own, keyed by the image's seed and the artefact's name: to
switch one on changes no other.
"""

import math
from dataclasses import fields
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from stm_experiments.core.seeds import image_stream

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Strength = float | tuple[float, float]


def bounds(strength: Strength) -> tuple[float, float]:
    """Return the smallest and the largest value that a strength can take."""
    low, high = strength if isinstance(strength, tuple) else (strength, strength)
    return float(low), float(high)


def is_off(strength: Strength) -> bool:
    """Return whether the artefact never occurs."""
    return bounds(strength)[1] == 0


def draw_strength(strength: Strength, seeds: list[int], name: str, chance: float = 1.0) -> Tensor:
    """Draw a value per image: log-uniform on a range above zero, uniform on a range from zero.

    Args:
        strength: A number, or the range (low, high).
        seeds: The images' seeds.
        name: Key of the stream.
        chance: Share of the images that have the artefact; the others get 0.

    Returns:
        The values, [N] float64.
    """
    low, high = bounds(strength)
    if low == high and chance >= 1:
        return torch.full((len(seeds),), low, dtype=torch.float64)
    uniform = uniforms(seeds, name, 2)
    value = low * (high / low) ** uniform[:, 0] if low > 0 else high * uniform[:, 0]
    return torch.where(uniform[:, 1] < chance, value, 0.0)


def uniforms(seeds: list[int], name: str, count: int) -> Tensor:
    """Draw numbers in [0, 1) for each image, [N, count] float64."""
    return torch.stack(
        [
            torch.rand(count, generator=image_stream(seed, name), dtype=torch.float64)
            for seed in seeds
        ]
    )


def normals(seeds: list[int], name: str, *shape: int) -> Tensor:
    """Draw standard normal numbers for each image, [N, *shape] float64."""
    return torch.stack(
        [
            torch.randn(shape, generator=image_stream(seed, name), dtype=torch.float64)
            for seed in seeds
        ]
    )


def check_strengths(noise: "DataclassInstance", *, single: tuple[str, ...] = ()) -> None:
    """Check a dataclass of strengths and turn its lists into ranges.

    Args:
        noise: The frozen dataclass, while it is built.
        single: Fields that take a number only.

    Raises:
        ValueError: If a value is no number or range of numbers of at least 0.
    """
    for field in fields(noise):
        name, value = field.name, getattr(noise, field.name)
        if not isinstance(value, bool):
            checked = checked_strength(name, value, single=name in single)
            object.__setattr__(noise, name, checked)


def checked_strength(
    name: str, value: object, *, owner: str = "noise", single: bool = False
) -> Strength:
    """Return a strength with its list turned into a range.

    Args:
        name: The setting.
        value: What it was set to.
        owner: What it belongs to, for the message.
        single: Whether it takes a number only.

    Raises:
        ValueError: If the value is no number or range of numbers of at least 0.
    """
    if isinstance(value, list):
        value = tuple(value)
    ends = value if isinstance(value, tuple) and not single else (value,)
    if not all(isinstance(x, int | float) and math.isfinite(x) and x >= 0 for x in ends):
        raise ValueError(
            f"{owner}: {name}={value!r} is not a strength: "
            + ("a number" if single else "a number or a range [low, high]")
            + " of at least 0"
        )
    if isinstance(value, tuple) and (len(value) != 2 or value[0] > value[1]):
        raise ValueError(f"{owner}: {name}={list(value)} is not a range [low, high]")
    strength = cast(Strength, value)
    if "chance" in name and bounds(strength)[1] > 1:
        raise ValueError(f"{owner}: {name}={value} is a share of the images: at most 1")
    return strength
