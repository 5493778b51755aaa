"""Checks of what users pass in: each error is one sentence that says what is wrong."""

import operator
from collections.abc import Mapping
from typing import TypeVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from stm_experiments.simulator.lattices.bulk import Lattice, Preset
from stm_experiments.simulator.lattices.flat import FlatLattice
from stm_experiments.simulator.lattices.registry import LATTICES, AnyLattice

_SMALLEST, _LARGEST = 16, 8192  # px

Named = TypeVar("Named", AnyLattice, Preset)


def named(value: str | Named, known: Mapping[str, Named], what: str) -> Named:
    """The lattice or preset of that name; an object passes through."""
    if isinstance(value, (Lattice, FlatLattice, Preset)):
        return value
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"unknown {what} {value!r}: choose one of {', '.join(known)}")
    return known[value]


def checked_size(size: int) -> int:
    """The image size in px as a plain integer."""
    try:
        size = operator.index(size)
    except TypeError:
        raise ValueError(f"size must be a whole number of pixels, got {size!r}") from None
    if size < _SMALLEST:
        raise ValueError(f"size must be at least {_SMALLEST} px, got {size}")
    if size > _LARGEST:
        raise ValueError(f"size must be at most {_LARGEST} px, got {size}")
    return size


def triples(values: Tensor | ArrayLike, what: str) -> Tensor:
    """Finite numbers as [N, 3] float64 on the CPU, N >= 1."""
    try:
        x = torch.as_tensor(values, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{what} must be numbers of shape [N, 3] or [3]: {error}") from None
    if x.shape == (3,):
        x = x[None]
    if x.ndim != 2 or x.shape[1] != 3 or not len(x):
        raise ValueError(f"{what} must have the shape [N, 3] or [3], got {list(x.shape)}")
    if not x.isfinite().all():
        raise ValueError(f"{what} must be finite")
    return x


def checked_orientation(values: Tensor | ArrayLike) -> Tensor:
    """Orientations as [N, 3] float64 in [0, 1)."""
    x = triples(values, "orientation")
    if ((x < 0) | (x >= 1)).any():
        raise ValueError(
            "orientation must lie in [0, 1): fractions of the azimuth, tilt and rotation ranges"
        )
    return x


def check_drawable(lattice: AnyLattice, preset: Preset) -> None:
    """Raise if the preset cannot draw the lattice."""
    if isinstance(lattice, FlatLattice) and lattice.name in LATTICES:
        if preset.name != "physical":
            raise ValueError(f"lattice {lattice.name!r} is drawn by the preset physical only")
        return
    if lattice.name not in LATTICES or lattice.name not in preset.w:
        known = ", ".join(name for name in LATTICES if name in preset.w)
        raise ValueError(f"unknown lattice {lattice.name!r}: preset {preset.name} draws {known}")
    if preset.windowed and lattice.spread != round(lattice.spread):
        raise ValueError(
            f"preset {preset.name} needs a whole number of px per lattice constant, "
            f"got a spread of {lattice.spread}"
        )
