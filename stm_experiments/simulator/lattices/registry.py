"""All lattices by name: cuts through crystals (``lattice``) and flat crystals (``flat``).

To add a flat crystal: an entry here and a file of its name in ``conf/lattice``.
"""

from stm_experiments.simulator.lattices.bulk import CUT_LATTICES, Lattice
from stm_experiments.simulator.lattices.flat import FlatLattice, Site, Substitute, Wave

AnyLattice = Lattice | FlatLattice

_MO, _S2 = 1.0, (2 * 16**1.7) / 42**1.7  # Z-contrast of a column: its sum of Z^1.7, of Mo 1

FLAT_LATTICES: dict[str, FlatLattice] = {
    lattice.name: lattice
    for lattice in (
        # a = 5.89, b = 3.93 angstrom: chains of two Te along a, not quite half a apart. The wave
        # runs along a*, 0.07 a* and so about 14 lattice constants long (its b* part is 0).
        FlatLattice(
            "zrte3",
            spread=12,
            ratio=3.93 / 5.89,
            gamma=90,
            sites=(Site("Te2", 0.0, 0.0, 1.0, 0.14), Site("Te3", 0.47, 0.0, 0.75, 0.14)),
            hollow=(0.235, 0.5),
            waves=(Wave((0.07, 0.0)),),
            commensurate=False,
            wave=(0.1, 0.5),
            modulation=0.15,
        ),
        # a = 3.36 angstrom; sqrt 13 x sqrt 13: the supercell 3 a + b, 13.9 degrees from a.
        FlatLattice(
            "tas2",
            spread=10,
            ratio=1,
            gamma=60,
            sites=(Site("S", 0.0, 0.0, 1.0, 0.22),),
            hollow=(1 / 3, 1 / 3),
            waves=tuple(Wave((x / 13, y / 13)) for x, y in ((4, 1), (-1, 3), (-3, -4))),
            wave=(0.2, 0.6),
            modulation=0.15,
            wave_domains=5,
        ),
        # a = 3.54 angstrom; 2 x 2.
        FlatLattice(
            "tise2",
            spread=12,
            ratio=1,
            gamma=60,
            sites=(Site("Se", 0.0, 0.0, 1.0, 0.21),),
            hollow=(1 / 3, 1 / 3),
            waves=(Wave((0.5, 0.0)), Wave((0.0, 0.5)), Wave((-0.5, -0.5))),
            wave=(0.05, 0.25),
            modulation=0.1,
            wave_domains=3,
        ),
        # 2H, seen along [001] in a transmission microscope, a = 3.16 angstrom: Mo and S2 columns.
        FlatLattice(
            "mos2",
            spread=18,
            ratio=1,
            gamma=60,
            sites=(Site("Mo", 0.0, 0.0, _MO, 0.13), Site("S2", 1 / 3, 1 / 3, _S2, 0.13)),
            hollow=(2 / 3, 2 / 3),  # beside Mo in the hollow, beside S2 on top of Mo
            adatom=_S2,
            substitutes=(
                Substitute("single S vacancy", "S2", _S2 / 2),
                Substitute("Mo on S2", "S2", _MO),
                Substitute("S2 on Mo", "Mo", _S2),
            ),
        ),
        # [001], a = 3.905 angstrom: Sr columns and Ti columns, intensities 1.0 and 0.7.
        FlatLattice(
            "srtio3",
            spread=10,
            ratio=1,
            gamma=90,
            sites=(Site("Sr", 0.0, 0.0, 1.0, 0.16), Site("Ti", 0.5, 0.5, 0.7, 0.16)),
            hollow=(0.5, 0.0),
            adatom=0.4,
            rotation_max=45,
            sigma=0.16,
        ),
    )
}

LATTICES: dict[str, AnyLattice] = {**CUT_LATTICES, **FLAT_LATTICES}
