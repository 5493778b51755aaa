"""Simulated topographs as a source of patches."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.batch import concatenate, map_tensors
from stm_experiments.core.seeds import generator, seed_of
from stm_experiments.data.image_set import Images
from stm_experiments.data.scaling import PAIR_NORMALISATIONS
from stm_experiments.data.settings import SPLITS, PatchSettings, check_whole_numbers, part_of
from stm_experiments.data.source import ImageSource
from stm_experiments.data.sources.centred import centred_truth
from stm_experiments.data.sources.published import published_count
from stm_experiments.simulator import (
    NOISES,
    PRESETS,
    AnyLattice,
    FlatLattice,
    Noise,
    Preset,
    StripeNoise,
    Topographs,
    choose_lattices,
    simulate,
)
from stm_experiments.simulator.checks import by_name
from stm_experiments.simulator.lattices.registry import FINEST


class Version(NamedTuple):
    """A version of the simulator.

    Attributes:
        preset: How the lattice is drawn.
        noise: Strengths of all noises and artefacts.
    """

    preset: Preset
    noise: Noise


@dataclass(frozen=True)
class SimulatedImages:
    """Simulated topographs of one split, each a pure function of (seed, split, epoch, index).

    Attributes:
        lattices: Lattice of each image.
        versions: Version of the simulator of each image.
        zoom: Each image's spread is multiplied by a factor drawn from this range, to whole px; None
            keeps it.
        normalisation: ``minmax``: the noisy image's minimum and maximum become -1 and 1; ``plane``:
            its plane is subtracted, and its 1st and 99th percentile become -1 and 1.
        size: Image height and width, px.
        resize: Side after a bilinear resize of the normalised image, px; None keeps the size.
        domains: 1, or 2 crystals of different orientation in each image.
        fixed: The same images in every epoch.
        split: ``train``, ``validation`` or ``test``.
        seed: Seed of everything random.
        centred: Size of the centred patch that each image brings along, px; None: there is none.
    """

    lattices: tuple[AnyLattice, ...]
    versions: tuple[Version, ...]
    zoom: tuple[float, float] | None
    normalisation: str
    size: int
    resize: int | None
    domains: int
    fixed: bool
    split: str
    seed: int
    centred: int | None = None

    @property
    def count(self) -> int:
        """Images in an epoch."""
        return len(self.lattices)

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Simulate images ``first`` .. ``last - 1`` of an epoch and map each to [-1, 1]."""
        draw_epoch = 0 if self.fixed else epoch
        same_version: dict[tuple[int, int], list[int]] = {}
        for index in range(first, last):
            preset, noise = self.versions[index]
            same_version.setdefault((id(preset), id(noise)), []).append(index)
        parts = [
            self._simulate(draw_epoch, indices, self.versions[indices[0]])
            for indices in same_version.values()
        ]
        if len(parts) == 1:
            return parts[0]
        images = concatenate(parts)
        order = images.number.argsort()
        return map_tensors(images, lambda tensor: tensor[order])

    def _simulate(self, draw_epoch: int, indices: list[int], version: Version) -> Images:
        """Simulate images of one version of the simulator."""
        lattices = [self._lattice(draw_epoch, index) for index in indices]
        topographs = simulate(
            lattices,
            [seed_of(self.seed, self.split, draw_epoch, index, "image") for index in indices],
            version.noise,
            version.preset,
            self.size,
            self.domains,
        )
        pairs = PAIR_NORMALISATIONS[self.normalisation](topographs)
        truth = self._stripes(topographs)
        if self.centred is not None:
            truth |= centred_truth(topographs, lattices, version.preset, self.centred)
        return Images(
            noisy=self._resized(pairs.noisy),
            clean=self._resized(pairs.clean),
            lattice=topographs.lattice,
            orientation=topographs.orientation,
            number=torch.tensor(indices),
            truth=truth,
        )

    def _stripes(self, topographs: Topographs) -> dict[str, Tensor]:
        """Return the pixels in stripes if any version has stripes, [N, 1, H, W] bool."""
        if all(version.noise.stripes == StripeNoise() for version in self.versions):
            return {}
        stripes = topographs.truth.get("stripes_forward")
        if stripes is None:
            return {"stripes": torch.zeros(topographs.noisy.shape, dtype=torch.bool)}
        return {"stripes": self._resized(stripes[:, None].float()) > 0}

    def _lattice(self, draw_epoch: int, index: int) -> AnyLattice:
        """Return the lattice of an image, zoomed."""
        lattice = self.lattices[index]
        if self.zoom is None:
            return lattice
        low, high = self.zoom
        draw = torch.rand(1, generator=generator(self.seed, self.split, draw_epoch, index, "zoom"))
        spread = round(lattice.spread * low * (high / low) ** draw.item())
        return replace(lattice, spread=max(FINEST, spread))

    def _resized(self, images: Tensor) -> Tensor:
        """Resize images [N, 1, H, W] as Pillow does: bilinear with antialiasing."""
        if self.resize is None:
            return images
        side = (self.resize, self.resize)
        return F.interpolate(images, side, mode="bilinear", antialias=True)


@dataclass(frozen=True)
class SimulatedData:
    """Topographs that are simulated while the network trains.

    Attributes:
        lattices: Settings by lattice name, such as spread (px per lattice constant); or a name, or
            a list of names.
        noise: Strengths of all noises and artefacts, or the name of a file of conf/noise.
        images_per_epoch: Training images of an epoch; None: as many as were published of each
            lattice.
        validation_images: Images that choose the best epoch; None: as many as were published.
        test_images: Images of the final numbers, which neither training nor choice uses; None: as
            many as were published.
        preset: ``physical``, ``published`` or ``released``; or a list of them: images take turns.
        size: Image height and width, px.
        domains: 1, or 2 crystals of different orientation in each image.
        resize: Side after a bilinear resize, px, as the paper's code does it; None: no resize.
        other_noise: A second noise, which every other image gets instead; or None.
        zoom: Each image's spread is multiplied by a factor drawn from this range; None keeps it.
        normalisation: ``minmax``, the paper's, or ``plane``, a microscope scan's.
        fraction: Use only this part of the images.
    """

    lattices: str | Sequence[str] | Mapping[str, Mapping[str, Any]]
    noise: str | Noise = "paper"
    images_per_epoch: int | None = 256
    validation_images: int | None = 16
    test_images: int | None = 24
    preset: str | list[str] = "physical"
    size: int = 257
    domains: int = 1
    resize: int | None = None
    other_noise: Noise | None = None
    zoom: list[float] | None = None
    normalisation: str = "minmax"
    fraction: float = 1.0

    def splits(self, settings: PatchSettings) -> dict[str, SimulatedImages]:
        """Return the images of each split; they are simulated when they are first needed.

        Raises:
            ValueError: If a name or number makes no sense.
        """
        self._check(settings.window)
        if settings.centred:
            self._check_centred(settings)
        noise = by_name(self.noise, NOISES, "noise")
        noises = [noise] if self.other_noise is None else [noise, self.other_noise]
        sources = {}
        for split in SPLITS:
            lattices = self._lattices_of(split)
            sources[split] = SimulatedImages(
                lattices=lattices,
                versions=assign_versions(lattices, self._presets, noises),
                zoom=None if self.zoom is None else (self.zoom[0], self.zoom[1]),
                normalisation=self.normalisation,
                size=self.size,
                resize=self.resize,
                domains=self.domains,
                fixed=split != "train" or not settings.fresh,
                split=split,
                seed=settings.seed,
                centred=settings.window if settings.centred else None,
            )
        return sources

    def _check_centred(self, settings: PatchSettings) -> None:
        """Refuse images whose patches have no centred patch or another pose."""
        settings.require("centred patches", augment=False)
        for name, value, only in (("domains", self.domains, 1), ("resize", self.resize, None)):
            if value != only:
                raise ValueError(f"data.{name} must be {only} for centred patches, got {value}")

    @property
    def _presets(self) -> list[str]:
        return [self.preset] if isinstance(self.preset, str) else self.preset

    def _check(self, window: int) -> None:
        counts = {
            "images_per_epoch": self.images_per_epoch,
            "validation_images": self.validation_images,
            "test_images": self.test_images,
        }
        numbers = {name: count for name, count in counts.items() if count is not None}
        check_whole_numbers(size=self.size, **numbers)
        check_presets(self._presets)
        if self.normalisation not in PAIR_NORMALISATIONS:
            names = " or ".join(PAIR_NORMALISATIONS)
            raise ValueError(f"data.normalisation is {names}, not {self.normalisation!r}")
        if self.zoom is not None and not (len(self.zoom) == 2 and 0 < self.zoom[0] <= self.zoom[1]):
            raise ValueError(f"data.zoom is a range such as [0.7,1.5], or null, not {self.zoom}")
        if self.domains not in (1, 2):
            raise ValueError(f"data.domains is 1 or 2, not {self.domains!r}")
        sides = {"size": self.size, "resize": self.size if self.resize is None else self.resize}
        for name, side in sides.items():
            if not isinstance(side, int) or side < window:
                raise ValueError(
                    f"data.{name}={side} px is smaller than the network's {window} px patch"
                )

    def _lattices_of(self, split: str) -> tuple[AnyLattice, ...]:
        """Return the lattice of each image of a split."""
        named = self.lattices
        if not isinstance(named, Mapping):
            named = {name: {} for name in ([named] if isinstance(named, str) else named)}
        lattices = choose_lattices(named)
        counts = (self.images_per_epoch, self.validation_images, self.test_images)
        count = counts[SPLITS.index(split)]
        if count is not None:
            number = part_of(count, self.fraction)
            return tuple(lattices[index % len(lattices)] for index in range(number))
        return tuple(
            lattice
            for lattice in lattices
            for _ in range(part_of(published_count(lattice.name, split), self.fraction))
        )


def check_presets(names: Sequence[str]) -> None:
    """Refuse unknown presets of the simulator.

    Raises:
        ValueError: If there is no such preset.
    """
    for name in names:
        if name not in PRESETS:
            raise ValueError(f"data.preset is one of {', '.join(PRESETS)}, not {name!r}")


def assign_versions(
    lattices: Sequence[AnyLattice], presets: Sequence[str], noises: Sequence[Noise]
) -> tuple[Version, ...]:
    """Return the version of each image: the images of one lattice take turns.

    A flat crystal is drawn with the preset ``physical`` in the turns of all of several presets.
    """
    turns = list(product(presets, noises))
    images_of: Counter[str] = Counter()
    versions = []
    for lattice in lattices:
        preset, noise = turns[images_of[lattice.name] % len(turns)]
        images_of[lattice.name] += 1
        if len(presets) > 1 and isinstance(lattice, FlatLattice):
            preset = "physical"
        versions.append(Version(PRESETS[preset], noise))
    return tuple(versions)


def simulated_lattices(source: ImageSource) -> dict[str, AnyLattice]:
    """Return the lattices that a source simulates, by name; of other sources none."""
    if not isinstance(source, SimulatedImages):
        return {}
    return {lattice.name: lattice for lattice in source.lattices}
