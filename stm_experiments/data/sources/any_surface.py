"""Simulated scans of surfaces of any kind as a source of patches."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.core.normalisation import NORMALISATIONS
from stm_experiments.core.seeds import seed_of
from stm_experiments.data.image_set import Images
from stm_experiments.data.scaling import ImagePairs
from stm_experiments.data.settings import SPLITS, PatchSettings, check_whole_numbers, part_of
from stm_experiments.simulator import Noise, SurfaceScans, simulate_any_surfaces
from stm_experiments.simulator.any_surface import check_any_noise


@dataclass(frozen=True)
class AnySurfaceImages:
    """Scans of one split, each a pure function of (seed, split, epoch, index).

    Attributes:
        noises: Images take turns.
        strength: Range of the factor of all noise of an image.
        normalisation: Name of the map to about [-1, 1].
        size: Image height and width, px.
        count: Images in an epoch.
        fixed: The same images in every epoch.
        split: ``train``, ``validation`` or ``test``.
        seed: Seed of everything random.
    """

    noises: tuple[Noise, ...]
    strength: tuple[float, float]
    normalisation: str
    size: int
    count: int
    fixed: bool
    split: str
    seed: int

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Simulate images ``first`` .. ``last - 1`` of an epoch and map each to about [-1, 1]."""
        draw_epoch = 0 if self.fixed else epoch
        numbers = list(range(first, last))
        scans = [
            simulate_any_surfaces(
                [seed_of(self.seed, self.split, draw_epoch, number, "any surface")],
                self.noises[number % len(self.noises)],
                self.size,
                self.strength,
            )
            for number in numbers
        ]
        pairs = [_scaled(scan, self.normalisation) for scan in scans]
        return Images(
            noisy=torch.cat([pair.noisy for pair in pairs]),
            clean=torch.cat([pair.clean for pair in pairs]),
            lattice=torch.full((len(numbers),), -1),
            orientation=torch.full((len(numbers), 3), torch.nan, dtype=torch.float64),
            number=torch.tensor(numbers),
            truth=self._stripes(scans),
        )

    def _stripes(self, scans: list[SurfaceScans]) -> dict[str, Tensor]:
        """Return the pixels in stripes if any noise has stripes, [N, 1, H, H] bool."""
        if all(noise.stripes.none for noise in self.noises):
            return {}
        return {"stripes": torch.cat([scan.stripes for scan in scans])}


def _scaled(scan: SurfaceScans, normalisation: str) -> ImagePairs:
    """Map one scan as a microscope's; its clean partner follows by the same map."""
    flat, affine = NORMALISATIONS[normalisation](scan.noisy[0, 0].numpy(), "a simulated scan")
    noisy = torch.from_numpy(flat)[None, None]
    return ImagePairs(noisy, noisy - (scan.noisy - scan.clean) / affine.scale)


@dataclass(frozen=True)
class AnySurfaceData:
    """Scans of surfaces of any kind, simulated while the network trains.

    Random crystals of 4 to 60 px, amorphous films and empty terraces, with waves, steps, islands
    and adsorbates; see ``simulator.surface.any_surface``.

    Attributes:
        noise: Strengths of the noise of every other image.
        other_noise: Strengths of the noise of the other images; None: the same.
        strength: Range [low, high] of a factor of all noise; each image draws its own.
        normalisation: ``plane``, a microscope scan's, or ``minmax``, the paper's.
        size: Image height and width, px.
        images_per_epoch: Training images of an epoch.
        validation_images: Images that choose the best epoch.
        test_images: Images of the final numbers.
        fraction: Use only this part of the images.
    """

    noise: Noise
    other_noise: Noise | None = None
    strength: tuple[float, float] = (1.0, 1.0)
    normalisation: str = "plane"
    size: int = 160
    images_per_epoch: int = 512
    validation_images: int = 64
    test_images: int = 64
    fraction: float = 1.0

    def splits(self, settings: PatchSettings) -> dict[str, AnySurfaceImages]:
        """Return the images of each split; they are simulated when they are first needed.

        Raises:
            ValueError: If a number makes no sense.
        """
        check_whole_numbers(
            size=self.size,
            images_per_epoch=self.images_per_epoch,
            validation_images=self.validation_images,
            test_images=self.test_images,
        )
        if self.size < settings.window:
            raise ValueError(
                f"data.size={self.size} px is smaller than the patches of {settings.window} px"
            )
        low, high = self.strength
        if not 0 < low <= high:
            raise ValueError(
                f"data.strength is a range such as [0.01,1], not {list(self.strength)}"
            )
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(f"data.normalisation is plane or minmax, not {self.normalisation!r}")
        noises = (self.noise,) if self.other_noise is None else (self.noise, self.other_noise)
        for noise in noises:
            check_any_noise(noise)
        counts = (self.images_per_epoch, self.validation_images, self.test_images)
        return {
            split: AnySurfaceImages(
                noises=noises,
                strength=(low, high),
                normalisation=self.normalisation,
                size=self.size,
                count=part_of(count, self.fraction),
                fixed=split != "train" or not settings.fresh,
                split=split,
                seed=settings.seed,
            )
            for split, count in zip(SPLITS, counts, strict=True)
        }
