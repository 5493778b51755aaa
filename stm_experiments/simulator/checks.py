"""Checks of arguments: each error is one sentence that says what is wrong."""

import operator
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from stm_experiments.simulator.lattices.flat import FlatLattice
from stm_experiments.simulator.lattices.registry import LATTICES, AnyLattice
from stm_experiments.simulator.presets import Preset

_SMALLEST, _LARGEST = 16, 8192  # px

Choice = TypeVar("Choice")


def by_name(value: str | Choice, choices: Mapping[str, Choice], kind: str) -> Choice:
    """Return the choice of that name; an object is returned as it is.

    Args:
        value: A name, or an object of the kind of the choices.
        choices: All choices by name.
        kind: What they are, for the message.

    Raises:
        ValueError: If there is no such choice.
    """
    if isinstance(value, tuple({type(choice) for choice in choices.values()})):
        return cast(Choice, value)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"unknown {kind} {value!r}: choose one of {', '.join(choices)}")
    return choices[value]


def checked_size(size: int) -> int:
    """Return the image size in px as a plain integer.

    Raises:
        ValueError: If it is no whole number, too small or too large.
    """
    try:
        size = operator.index(size)
    except TypeError:
        raise ValueError(f"size must be a whole number of pixels, got {size!r}") from None
    if size < _SMALLEST:
        raise ValueError(f"size must be at least {_SMALLEST} px, got {size}")
    if size > _LARGEST:
        raise ValueError(f"size must be at most {_LARGEST} px, got {size}")
    return size


def triples(values: Tensor | ArrayLike, name: str) -> Tensor:
    """Return finite numbers as [N, 3] float64 on the CPU, N >= 1.

    Raises:
        ValueError: If they are no finite numbers of that shape.
    """
    try:
        x = torch.as_tensor(values, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be numbers of shape [N, 3] or [3]: {error}") from None
    if x.shape == (3,):
        x = x[None]
    if x.ndim != 2 or x.shape[1] != 3 or not len(x):
        raise ValueError(f"{name} must have the shape [N, 3] or [3], got {list(x.shape)}")
    if not x.isfinite().all():
        raise ValueError(f"{name} must be finite")
    return x


def checked_orientation(values: Tensor | ArrayLike) -> Tensor:
    """Return orientations as [N, 3] float64 in [0, 1).

    Raises:
        ValueError: If they are no numbers of that shape and range.
    """
    x = triples(values, "orientation")
    if ((x < 0) | (x >= 1)).any():
        raise ValueError(
            "orientation must lie in [0, 1): fractions of the azimuth, tilt and rotation ranges"
        )
    return x


def check_drawable(lattice: AnyLattice, preset: Preset) -> None:
    """Check that the preset can draw the lattice.

    Raises:
        ValueError: If it cannot.
    """
    if isinstance(lattice, FlatLattice) or lattice.narrowness is not None:
        if preset.name != "physical":
            raise ValueError(f"lattice {lattice.name!r} is drawn by the preset physical only")
        return
    if lattice.name not in LATTICES or lattice.name not in preset.w:
        drawable = ", ".join(name for name in LATTICES if name in preset.w)
        raise ValueError(f"unknown lattice {lattice.name!r}: preset {preset.name} draws {drawable}")
    if preset.windowed and lattice.spread != round(lattice.spread):
        raise ValueError(
            f"preset {preset.name} needs a whole number of px per lattice constant, "
            f"got a spread of {lattice.spread}"
        )


def check_counts(
    lattices: Sequence[AnyLattice], seeds: Sequence[int], orientation: Tensor | None
) -> None:
    """Check that there are as many lattices and orientations as images.

    Raises:
        ValueError: If there are not, or no image.
    """
    if len(lattices) != len(seeds) or not len(seeds):
        raise ValueError(
            f"one lattice and one seed per image are needed, "
            f"got {len(lattices)} lattices and {len(seeds)} seeds"
        )
    if orientation is not None and len(orientation) != len(seeds):
        raise ValueError(f"{len(orientation)} orientations were given for {len(seeds)} images")
