"""All lattices by name: their constants, their ranges of orientation and their symmetries.

To add a crystal: an entry here and a file of its name in ``conf/lattice``; from another package,
``add_lattice``.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from stm_experiments.simulator.lattices.cut import Lattice
from stm_experiments.simulator.lattices.flat import FlatLattice, Site, Substitute, Wave

AnyLattice = Lattice | FlatLattice

FINEST = 4  # px per lattice constant at which an atom is still visible

_CENTRED = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.0))

CUT_LATTICES: dict[str, Lattice] = {
    lattice.name: lattice
    for lattice in (
        Lattice(
            name="sc",
            spread=10,
            azimuth_max=45.0,
            tilt_max=45.0,
            fold=4,
            k=1,
            basis=((0.0, 0.0, 0.0),),
        ),
        Lattice(
            name="bcc",
            spread=13,
            azimuth_max=45.0,
            tilt_max=45.0,
            fold=4,
            k=2,
            basis=((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
        ),
        Lattice(
            name="fcc",
            spread=18,
            azimuth_max=45.0,
            tilt_max=45.0,
            fold=4,
            k=3,
            basis=(*_CENTRED, (0.5, 0.0, 0.5), (0.0, 0.5, 0.5)),
        ),
        Lattice(
            name="hex1",
            spread=14,
            azimuth_max=60.0,
            tilt_max=30.0,
            fold=6,
            k=4,
            basis=_CENTRED,
            a=0.7,
            row=math.sqrt(3) / 2,
            rows_first=True,
        ),
        # The paper calls it hexagonal. It is a centred rectangular lattice of well separated rows.
        Lattice(
            name="hex2",
            spread=10,
            azimuth_max=60.0,
            tilt_max=30.0,
            fold=2,
            k=5,
            basis=_CENTRED,
            a=1.2,
            row=math.sqrt(3),
            rows_first=True,
        ),
    )
}

# Z-contrast: the intensity of a column is its sum of Z^1.7, that of a Mo column being 1.
_MO, _S2 = 1.0, (2 * 16**1.7) / 42**1.7

FLAT_LATTICES: dict[str, FlatLattice] = {
    lattice.name: lattice
    for lattice in (
        # a = 5.89, b = 3.93 angstrom: chains of two Te along a, not quite half of a apart. The wave
        # runs along a*; its vector of 0.07 a* makes it about 14 lattice constants long. Half a turn
        # leaves the crystal as it is but for 0.06 a.
        FlatLattice(
            name="zrte3",
            spread=12,
            ratio=3.93 / 5.89,
            gamma=90,
            fold=2,
            sites=(Site("Te2", 0.0, 0.0, 1.0, 0.14), Site("Te3", 0.47, 0.0, 0.75, 0.14)),
            hollow=(0.235, 0.5),
            waves=(Wave((0.07, 0.0)),),
            commensurate=False,
            wave=(0.1, 0.5),
            modulation=0.15,
        ),
        # a = 3.36 angstrom; sqrt 13 x sqrt 13: the supercell 3 a + b, 13.9 degrees from a.
        FlatLattice(
            name="tas2",
            spread=10,
            ratio=1,
            gamma=60,
            fold=6,
            sites=(Site("S", 0.0, 0.0, 1.0, 0.22),),
            hollow=(1 / 3, 1 / 3),
            waves=tuple(Wave((x / 13, y / 13)) for x, y in ((4, 1), (-1, 3), (-3, -4))),
            wave=(0.2, 0.6),
            modulation=0.15,
            wave_domains=5,
        ),
        # a = 3.54 angstrom; 2 x 2.
        FlatLattice(
            name="tise2",
            spread=12,
            ratio=1,
            gamma=60,
            fold=6,
            sites=(Site("Se", 0.0, 0.0, 1.0, 0.21),),
            hollow=(1 / 3, 1 / 3),
            waves=(Wave((0.5, 0.0)), Wave((0.0, 0.5)), Wave((-0.5, -0.5))),
            wave=(0.05, 0.25),
            modulation=0.1,
            wave_domains=3,
        ),
        # 2H, along [001] in a transmission electron microscope, a = 3.16 angstrom: Mo and S2
        # columns.
        FlatLattice(
            name="mos2",
            spread=18,
            ratio=1,
            gamma=60,
            fold=3,
            sites=(Site("Mo", 0.0, 0.0, _MO, 0.13), Site("S2", 1 / 3, 1 / 3, _S2, 0.13)),
            hollow=(2 / 3, 2 / 3),  # next to Mo in the hollow, next to S2 on top of Mo
            adatom=_S2,
            substitutes=(
                Substitute("single S vacancy", "S2", _S2 / 2),
                Substitute("Mo on S2", "S2", _MO),
                Substitute("S2 on Mo", "Mo", _S2),
            ),
        ),
        # [001], a = 3.905 angstrom: Sr columns and Ti columns, intensities 1.0 and 0.7.
        FlatLattice(
            name="srtio3",
            spread=10,
            ratio=1,
            gamma=90,
            fold=4,
            sites=(Site("Sr", 0.0, 0.0, 1.0, 0.16), Site("Ti", 0.5, 0.5, 0.7, 0.16)),
            hollow=(0.5, 0.0),
            adatom=0.4,
            rotation_max=45,
            sigma=0.16,
        ),
    )
}

LATTICES: dict[str, AnyLattice] = {**CUT_LATTICES, **FLAT_LATTICES}


def add_lattice(lattice: AnyLattice) -> None:
    """Add a crystal of your own, so that configs and the simulator know its name.

    Its label is the next free one.

    Raises:
        ValueError: If there is another lattice of that name, or the simulator cannot draw it.
    """
    if LATTICES.get(lattice.name, lattice) != lattice:
        raise ValueError(f"there is another lattice {lattice.name!r}: choose another name")
    if isinstance(lattice, Lattice) and lattice.name not in LATTICES and lattice.narrowness is None:
        raise ValueError(f"lattice {lattice.name!r} needs a narrowness of its atoms, such as 0.15")
    LATTICES[lattice.name] = lattice


def lattice_label(lattice: AnyLattice) -> int:
    """Return the position of a lattice in ``LATTICES`` by its name; -1 if it is not there."""
    return list(LATTICES).index(lattice.name) if lattice.name in LATTICES else -1


def configured_lattice(name: str, overrides: Mapping[str, Any]) -> AnyLattice:
    """Return a lattice of the registry with some of its attributes set otherwise.

    Args:
        name: Key of ``LATTICES``.
        overrides: Attributes by name; None keeps the registry's value.

    Raises:
        ValueError: If the lattice or an attribute is not known, or a value makes no sense.
    """
    if name not in LATTICES:
        raise ValueError(f"lattice {name!r} is not known; there are {', '.join(LATTICES)}")
    lattice = LATTICES[name]
    changes = {key: value for key, value in overrides.items() if value is not None}
    attributes = {field.name for field in fields(lattice)} - {"name"}
    for key in changes:
        if key not in attributes:
            raise ValueError(
                f"lattice.{name}.{key} is not known; there are {', '.join(sorted(attributes))}"
            )
    return replace(lattice, **changes)


def choose_lattices(settings: Mapping[str, Mapping[str, Any]]) -> tuple[AnyLattice, ...]:
    """Return the lattices that are named in a config, with its settings.

    Raises:
        ValueError: If there is no lattice, or an unknown one, or a setting makes no sense.
    """
    if not settings:
        raise ValueError("choose at least one lattice, such as lattice=fcc or lattice=[sc,fcc]")
    lattices = tuple(configured_lattice(name, values) for name, values in settings.items())
    for lattice in lattices:
        if lattice.spread < FINEST:
            raise ValueError(
                f"lattice.{lattice.name}.spread={lattice.spread} px per lattice constant is too "
                f"fine to show an atom: at least {FINEST}"
            )
    return lattices
