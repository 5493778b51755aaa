"""The frozen collection: images with their truth that no training sees and no choice is made on.

A case is a pure function of its name: surface, noise, split and number. ``development`` is for
choices, ``test`` for the numbers that are quoted. All heights are in units of c, the corrugation:
the 5-95 % range of the clean lattice (the step on bare terraces, the height of lone molecules).
"""

import hashlib
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from stm_experiments.benchmarks.quality.images import published_images
from stm_experiments.benchmarks.quality.noises import (
    COLLECTION_NOISES,
    WHITE,
    canvas_of,
    moved_places,
    record,
)
from stm_experiments.benchmarks.quality.surfaces.catalogue import (
    BARE_ENTRIES,
    FEATURE_ENTRIES,
    LATTICE_ENTRIES,
    SURFACES,
)
from stm_experiments.benchmarks.quality.surfaces.lattices import Shape
from stm_experiments.core.arrays import Array, Points
from stm_experiments.core.seeds import seed_of
from stm_experiments.simulator import NOISES, simulate

PUBLISHED_NOISE = "published"
SPLITS = ("development", "test")
TRAINED_KIND = "trained"  # kind of the simulator's own surfaces
_WHITE = [f"white_{sigma:g}" for sigma in WHITE]
_OTHER = [name for name in COLLECTION_NOISES if name not in _WHITE]
_SHAPES = ((192, 192), (192, 256), (224, 208), (256, 224), (208, 240))  # px
_ODD_SHAPES = ((64, 64), (64, 160), (96, 420), (512, 384), (800, 300), (1024, 700), (2048, 560))
_TRAINED = ("sc", "bcc", "fcc", "hex1", "hex2", "zrte3", "tas2", "tise2", "mos2", "srtio3")
_TRAINED_SIDE = 257


@dataclass(frozen=True)
class CaseName:
    """What a case is made of, and its name.

    Attributes:
        surface: Name of the surface.
        noise: Name of the noise.
        split: ``development`` or ``test``.
        index: Its number among cases of this surface and noise.
        shape: Of the image, px.
    """

    surface: str
    noise: str
    split: str
    index: int
    shape: Shape

    def __str__(self) -> str:
        """Return the name as it is printed."""
        return f"{self.surface}/{self.noise}/{self.index}"

    @property
    def surface_kind(self) -> str:
        """The stratum of the surface."""
        return SURFACES[self.surface].kind if self.surface in SURFACES else TRAINED_KIND

    @property
    def noise_kind(self) -> str:
        """The stratum of the noise."""
        return COLLECTION_NOISES[self.noise].kind if self.noise in COLLECTION_NOISES else self.noise

    def seed(self, purpose: str) -> int:
        """Return the seed of a part of the case."""
        return seed_of("collection", purpose, self.split, self.surface, self.noise, self.index)


@dataclass(frozen=True)
class Case:
    """An image with its truth; heights in c, [H, W].

    Attributes:
        name: What it is.
        noisy: What a denoiser gets.
        clean: The truth.
        sigma: Standard deviation of the noise where it is white; None: it is not.
        feature: What the feature adds to the clean image; None: there is none.
        twin: The image without the feature and with the same noise; None: there is no feature.
        places: Centres of a local feature, px, [P, 2]; None: it is not local.
        reach: Radius of a local feature, px.
    """

    name: CaseName
    noisy: Array
    clean: Array
    sigma: float | None
    feature: Array | None = None
    twin: Array | None = None
    places: Points | None = None
    reach: float = 0.0


def case_names(split: str, *, miniature: bool = False) -> list[CaseName]:
    """Return the names of all cases of a split.

    Every lattice meets every white noise and eight of the other noises, every other surface meets
    all strengths of white noise but the lowest, and three to six others; the simulator's own
    lattices have the noises of their training. Some images are small, large or long.

    Args:
        split: ``development`` or ``test``.
        miniature: One case of each surface only, of 96 px.

    Raises:
        ValueError: If there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"the split is {' or '.join(SPLITS)}, not {split!r}")
    shapes, others = cycle(_SHAPES), cycle(_OTHER)
    plan: list[tuple[str, str, int]] = []
    for surface in LATTICE_ENTRIES:
        plan += [(surface, noise, 0) for noise in (*_WHITE, *islice(others, 8))]
    for surface in FEATURE_ENTRIES:
        plan += [(surface, noise, 0) for noise in (*_WHITE[1:], *islice(others, 5))]
    for surface in BARE_ENTRIES:
        plan += [(surface, noise, 0) for noise in (*_WHITE[1:], *islice(others, 6))]
    plan += [("empty", noise, index) for noise in _WHITE[2:5] for index in (1, 2)]
    trained = ("paper", "realistic", "realistic_hard")
    plan += [(lattice, noise, 0) for lattice in _TRAINED for noise in trained]
    plan += [(lattice, "paper", 1) for lattice in _TRAINED]
    names = [
        CaseName(surface, noise, split, index, _shape_of(surface, next(shapes)))
        for surface, noise, index in plan
    ]
    if miniature:
        first = {name.surface: name for name in reversed(names)}
        return [CaseName(n.surface, n.noise, split, 0, (96, 96)) for n in first.values()]
    hosts, noises = (
        cycle(["kagome", "oblique", "terraces", "moire"]),
        cycle([*_WHITE[2:5], "rows", "pink"]),
    )
    odd = [CaseName(next(hosts), next(noises), split, 9, shape) for shape in _ODD_SHAPES]
    return names + odd


def _shape_of(surface: str, shape: Shape) -> Shape:
    """Return the shape of a case; the simulator's images are square."""
    return shape if surface in SURFACES else (_TRAINED_SIDE, _TRAINED_SIDE)


def build_case(name: CaseName) -> Case:
    """Draw a case."""
    if name.surface not in SURFACES:
        return _trained_case(name)
    noise = COLLECTION_NOISES[name.noise]
    rng = np.random.default_rng(name.seed("surface"))
    surface = SURFACES[name.surface].draw(rng, canvas_of(noise, name.shape))
    seed = name.seed("noise")
    clean, noisy = record(noise, surface.heights, surface.texture, seed, name.shape)
    if surface.feature is None:
        return Case(name, noisy, clean, noise.sigma)
    ground = surface.ground
    without, twin = record(noise, ground, ground, seed, name.shape)
    if np.ptp(np.quantile(twin, (0.01, 0.99))) == 0:  # bare ground, rounded: no scan
        return Case(name, noisy, clean, noise.sigma)
    places = surface.places
    if places is not None:
        places = moved_places(noise, places, seed, name.shape)
        places = places[((places >= 0) & (places <= np.subtract(name.shape, 1))).all(1)]
        if not len(places):  # a drifting scan can miss them all
            return Case(name, noisy, clean, noise.sigma)
    return Case(name, noisy, clean, noise.sigma, clean - without, twin, places, surface.reach)


def fingerprint(split: str, *, miniature: bool = False) -> str:
    """Return a short text that changes with the collection: its names, and some of its pixels."""
    names = case_names(split, miniature=miniature)
    parts: list[str] = [f"{name} {name.shape}" for name in names]
    for name in names[:: max(1, len(names) // 12)]:
        case = build_case(name)
        parts += [f"{x.mean():.4f} {x.std():.4f}" for x in (case.clean, case.noisy)]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def published_cases(root: str | Path) -> list[Case]:
    """Read the published validation pairs, on the scale on which the noisy image spans [-1, 1].

    Raises:
        ValueError: If the folder does not hold them.
    """
    cases = []
    for index, image in enumerate(published_images(root)):
        noisy, clean = image.noisy.double().numpy(), image.clean.double().numpy()
        shape = (noisy.shape[0], noisy.shape[1])
        name = CaseName(image.lattice, PUBLISHED_NOISE, "validation", index, shape)
        cases.append(Case(name, noisy, clean, sigma=None))
    return cases


def _trained_case(name: CaseName) -> Case:
    """Simulate an image of the kind that the shipped models were trained on."""
    noise, seed = NOISES[name.noise], name.seed("surface")
    topographs = simulate([name.surface], [seed], noise, "physical", name.shape[0])
    unit = float(topographs.truth["corrugation"][0])
    noisy, clean = (x[0, 0].double().numpy() / unit for x in (topographs.noisy, topographs.clean))
    return Case(name, noisy, clean, None)
