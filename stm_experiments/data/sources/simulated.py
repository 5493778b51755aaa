"""Simulated topographs as a source of patches."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.seeds import generator, seed_of
from stm_experiments.data.batch import SPLITS, Images
from stm_experiments.data.module import PatchData, check_counts
from stm_experiments.data.scaling import PAIR_NORMALISATIONS
from stm_experiments.simulator import (
    LATTICES,
    PRESETS,
    AnyLattice,
    FlatLattice,
    Noise,
    Preset,
    StripeNoise,
    Topographs,
    simulate,
)

FINEST = 4  # px per lattice constant that still show an atom


@dataclass(frozen=True)
class SimulatedImages:
    """Simulated topographs, each a pure function of (seed, split, epoch, index).

    Attributes:
        lattices: The lattice of each image.
        versions: Version of the simulator and strengths of everything that spoils it, of each
            image.
        zoom: Each image's spread is multiplied by a factor drawn from this range, to whole px; None
            keeps it.
        normalisation: ``minmax``: the noisy image's minimum and maximum become -1 and 1; ``plane``:
            its plane is taken off, and its 1st and 99th percentile become -1 and 1.
        size: Image height and width, px.
        resize: Side after a bilinear resize of the normalised image, px; None keeps the size.
        domains: 1, or 2 crystals of different orientation in each image.
        count: Images in an epoch.
        fixed: The same images every epoch.
        split: ``train``, ``validation`` or ``test``.
        seed: Of everything random.
    """

    lattices: tuple[AnyLattice, ...]
    versions: tuple[tuple[Preset, Noise], ...]
    zoom: tuple[float, float] | None
    normalisation: str
    size: int
    resize: int | None
    domains: int
    count: int
    fixed: bool
    split: str
    seed: int

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Simulates images first .. last - 1 of an epoch and maps each to [-1, 1]."""
        drawn_in = 0 if self.fixed else epoch
        alike: dict[tuple[int, int], list[int]] = {}
        for index in range(first, last):
            preset, noise = self.versions[index]
            alike.setdefault((id(preset), id(noise)), []).append(index)
        parts = [
            self._images(drawn_in, indices, *self.versions[indices[0]])
            for indices in alike.values()
        ]
        if len(parts) == 1:
            return parts[0]
        order = torch.cat([part.number for part in parts]).argsort()
        return Images.joined(parts, order)

    def _images(self, drawn_in: int, indices: list[int], preset: Preset, noise: Noise) -> Images:
        """Images of one version of the simulator with one noise."""
        topographs = simulate(
            [self._lattice(drawn_in, index) for index in indices],
            [seed_of(self.seed, self.split, drawn_in, index, "image") for index in indices],
            noise,
            preset,
            self.size,
            self.domains,
        )
        noisy, clean = PAIR_NORMALISATIONS[self.normalisation](topographs)
        return Images(
            noisy=self._resized(noisy),
            clean=self._resized(clean),
            lattice=topographs.lattice,
            orientation=topographs.orientation,
            number=torch.tensor(indices),
            truth=self._stripes(topographs),
        )

    def _stripes(self, topographs: Topographs) -> dict[str, Tensor]:
        """Where there are stripes, if any of the noises has some, [N, 1, H, W] bool."""
        if all(noise.stripes == StripeNoise() for _, noise in self.versions):
            return {}
        stripes = topographs.truth.get("stripes_forward")
        if stripes is None:
            return {"stripes": torch.zeros(topographs.noisy.shape, dtype=torch.bool)}
        return {"stripes": self._resized(stripes[:, None].float()) > 0}

    def _lattice(self, drawn_in: int, index: int) -> AnyLattice:
        """The lattice of an image, zoomed."""
        lattice = self.lattices[index]
        if self.zoom is None:
            return lattice
        low, high = self.zoom
        draw = torch.rand(1, generator=generator(self.seed, self.split, drawn_in, index, "zoom"))
        spread = round(lattice.spread * low * (high / low) ** draw.item())
        return replace(lattice, spread=max(FINEST, spread))

    def _resized(self, images: Tensor) -> Tensor:
        """Images [N, 1, H, W] as Pillow would resize them, bilinear with antialiasing."""
        if self.resize is None:
            return images
        side = (self.resize, self.resize)
        return F.interpolate(images, side, mode="bilinear", antialias=True)


class SimulatedData(PatchData):
    """Patches of topographs that are simulated while the network trains.

    Args:
        lattices: Settings by lattice name, such as spread (px per lattice constant).
        noise: Strengths of everything that spoils an image.
        other_noise: A second noise, which every other image gets instead; or None.
        preset: ``physical``, ``published`` or ``released``; or a list of which images take turns.
        zoom: Each image's spread is multiplied by a factor drawn from this range; None keeps it.
        normalisation: ``minmax``, the paper's, or ``plane``, a microscope scan's.
        size: Image height and width, px.
        resize: Side after a bilinear resize, px, as the paper's code does it; None: no resize.
        domains: 1, or 2 crystals of different orientation in each image.
        images_per_epoch: Training images of an epoch; None: as many as were published of each
            lattice, by its setting ``images``.
        validation_images: Images on which the best epoch is chosen; or None.
        test_images: Images that no training or choice has seen, for the final numbers; or None.
        fraction: Use only this part of the images.
        cutting: How patches are cut; see ``PatchData``.

    Raises:
        ValueError: If a name or number makes no sense.
    """

    def __init__(
        self,
        *,
        lattices: Mapping[str, Mapping[str, Any]],
        noise: Noise,
        preset: str | list[str],
        size: int,
        domains: int,
        images_per_epoch: int | None,
        validation_images: int | None,
        test_images: int | None,
        fresh: bool,
        seed: int,
        resize: int | None = None,
        other_noise: Noise | None = None,
        zoom: list[float] | None = None,
        normalisation: str = "minmax",
        fraction: float = 1.0,
        **cutting: Any,
    ) -> None:
        counts = {
            "images_per_epoch": images_per_epoch,
            "validation_images": validation_images,
            "test_images": test_images,
        }
        given = {name: count for name, count in counts.items() if count is not None}
        check_counts(size=size, **given)
        noises = [noise] if other_noise is None else [noise, other_noise]
        presets = [preset] if isinstance(preset, str) else preset
        for name in presets:
            if name not in PRESETS:
                raise ValueError(f"data.preset is one of {', '.join(PRESETS)}, not {name!r}")
        if normalisation not in PAIR_NORMALISATIONS:
            raise ValueError(
                f"data.normalisation is {' or '.join(PAIR_NORMALISATIONS)}, not {normalisation!r}"
            )
        if zoom is not None and not (len(zoom) == 2 and 0 < zoom[0] <= zoom[1]):
            raise ValueError(f"data.zoom is a range such as [0.7,1.5], or null, not {zoom}")
        if domains not in (1, 2):
            raise ValueError(f"data.domains is 1 or 2, not {domains!r}")
        window = cutting["window"]
        for name, side in (("size", size), ("resize", size if resize is None else resize)):
            if not isinstance(side, int) or side < window:
                raise ValueError(
                    f"data.{name}={side} px is smaller than the network's {window} px patch"
                )
        kinds = chosen_lattices(lattices)
        shown = {}
        for split, count in zip(SPLITS, counts.values(), strict=True):
            if count is None:
                published = [
                    part_of(lattices[kind.name]["images"][split], fraction) for kind in kinds
                ]
                pairs = zip(kinds, published, strict=True)
                shown[split] = tuple(kind for kind, number in pairs for _ in range(number))
            else:
                number = part_of(count, fraction)
                shown[split] = tuple(kinds[index % len(kinds)] for index in range(number))
        sources = {
            split: SimulatedImages(
                lattices=shown[split],
                versions=by_turns(shown[split], presets, noises),
                zoom=None if zoom is None else (zoom[0], zoom[1]),
                normalisation=normalisation,
                size=size,
                resize=resize,
                domains=domains,
                count=len(shown[split]),
                fixed=split != "train" or not fresh,
                split=split,
                seed=seed,
            )
            for split in SPLITS
        }
        super().__init__(sources, fresh=fresh, seed=seed, **cutting)


def by_turns(
    lattices: tuple[AnyLattice, ...], presets: list[str], noises: list[Noise]
) -> tuple[tuple[Preset, Noise], ...]:
    """The version of each image: those of one lattice take turns.

    A flat crystal has one version, ``physical``, which is drawn in the turns of all of several.
    """
    turns = list(product(presets, noises))
    known: Counter[str] = Counter()
    chosen = []
    for lattice in lattices:
        preset, noise = turns[known[lattice.name] % len(turns)]
        known[lattice.name] += 1
        only = len(presets) > 1 and isinstance(lattice, FlatLattice)
        chosen.append((PRESETS["physical" if only else preset], noise))
    return tuple(chosen)


def chosen_lattices(settings: Mapping[str, Mapping[str, Any]]) -> tuple[AnyLattice, ...]:
    """The lattices named in a config, with its settings.

    Raises:
        ValueError: If there is no lattice, or one that is not known.
    """
    if not settings:
        raise ValueError("choose at least one lattice, such as lattice=fcc or lattice=[sc,fcc]")
    for name in settings:
        if name not in LATTICES:
            raise ValueError(f"lattice {name!r} is not known; there are {', '.join(LATTICES)}")
    chosen = []
    for name, given in settings.items():
        limits = {key: value for key, value in given.items() if key != "images"}
        if not limits.get("spread", FINEST) >= FINEST:
            raise ValueError(
                f"lattice.{name}.spread={limits['spread']} px per lattice constant is too fine to "
                f"show an atom: at least {FINEST}"
            )
        chosen.append(replace(LATTICES[name], **limits))
    return tuple(chosen)


def part_of(count: int, fraction: float) -> int:
    """A fraction of some images, at least one.

    Raises:
        ValueError: If the fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"data.fraction is above 0 and at most 1, not {fraction!r}")
    return max(1, round(count * fraction))
