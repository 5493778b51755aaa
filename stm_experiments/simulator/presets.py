"""The versions of the simulator: a physical one and the two programs of the paper's authors."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A version of the simulator.

    The authors wrote two programs: one drew the published images, the other was released.

    Attributes:
        name: Key of ``PRESETS``.
        w: Narrowness of an atom by lattice name, in the exponent -(w/s) r^2 / sqrt(2 - depth).
        exponent: Power of 2; atoms g overlap as (sum g^exponent)^(1/exponent): 1 is a sum, 4 a
            smooth maximum.
        exclusion: An atom is not drawn where the image already exceeds this height; None draws all.
        from_sites: Project the atoms themselves; otherwise the points of the plane above them.
        slanted_depth: Depth along the plane's normal for all sites; the programs do not divide by
            sqrt(1 + T^2) at the z = 0 sites of bcc and fcc.
        windowed: The programs draw an atom only in a window of [-spread, spread - 1] px around
            floor(centre), with the sub-pixel part of its centre mirrored.
        skewed_hexagons: The programs project hexagonal lattices with two different sets of angles.
        uniform_offset: The lattice's origin is drawn in its cell; otherwise it is pixel size // 2.
        width_once: The change of width is drawn once per image; otherwise once per atom.
    """

    name: str
    w: Mapping[str, float]
    exponent: int
    exclusion: float | None
    from_sites: bool
    slanted_depth: bool
    windowed: bool
    skewed_hexagons: bool
    uniform_offset: bool
    width_once: bool


_HEXAGONAL_W = {"hex1": 0.13, "hex2": 0.015}
_PUBLISHED_W = {"sc": 0.15, "bcc": 0.15, "fcc": 0.15, **_HEXAGONAL_W}
_RELEASED_W = {"sc": 0.13, "bcc": 0.13, "fcc": 0.13, **_HEXAGONAL_W}

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="physical",
            w=_PUBLISHED_W,
            exponent=4,
            exclusion=None,
            from_sites=True,
            slanted_depth=True,
            windowed=False,
            skewed_hexagons=False,
            uniform_offset=True,
            width_once=False,
        ),
        Preset(
            name="published",
            w=_PUBLISHED_W,
            exponent=1,
            exclusion=0.25,
            from_sites=True,
            slanted_depth=False,
            windowed=True,
            skewed_hexagons=True,
            uniform_offset=False,
            width_once=False,
        ),
        Preset(
            name="released",
            w=_RELEASED_W,
            exponent=1,
            exclusion=0.7,
            from_sites=False,
            slanted_depth=False,
            windowed=True,
            skewed_hexagons=True,
            uniform_offset=False,
            width_once=True,
        ),
    )
}
