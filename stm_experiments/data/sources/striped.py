"""Pairs with and without stripes, made of a few clean images, as a data source."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.batch import concatenate
from stm_experiments.core.normalisation import normalise_minmax
from stm_experiments.core.seeds import generator, seed_of
from stm_experiments.data.image_set import Images
from stm_experiments.data.settings import SPLITS, PatchSettings, check_whole_numbers, part_of
from stm_experiments.io.image import DECODERS, read_image
from stm_experiments.simulator import (
    LATTICES,
    PRESETS,
    AnyLattice,
    Noise,
    choose_lattices,
    simulate,
)

# How the thesis varies its clean images.
TURN = 10.0  # largest rotation, degrees
BLUR = (0.3, 1.5)  # standard deviation of the blur, px
SALT = 0.01  # largest share of the pixels with salt or pepper
HALF = 0.5  # share of the pairs with each of: a flip, inversion, blur, salt and pepper


@dataclass(frozen=True)
class CleanImages:
    """The few clean images of which all pairs of a split are made.

    Attributes:
        files: The user's images; none: simulated ones.
        lattices: Lattices of the simulated images, by turns; the first one labels the user's.
        noise: Strengths, of which only those of the sample count.
        size: Side of simulated images, px.
        count: Number of images.
        split: ``train``, ``validation`` or ``test``.
        seed: Seed of everything random.
    """

    files: tuple[Path, ...]
    lattices: tuple[AnyLattice, ...]
    noise: Noise
    size: int
    count: int
    split: str
    seed: int
    _cache: dict[int, Tensor] = field(default_factory=dict, compare=False, repr=False)

    def __getitem__(self, number: int) -> Tensor:
        """Return an image in 256 grey levels on [0, 1], [1, 1, H, W]; it is kept in memory.

        Raises:
            ValueError: If a file cannot be used.
        """
        if number not in self._cache:
            if self.files:
                image = torch.from_numpy(normalise_minmax(read_image(self.files[number]))[0])
            else:
                seed = seed_of(self.seed, self.split, number, "clean image")
                preset = PRESETS["physical"]
                clean = simulate(
                    [self.lattice(number)], [seed], self.noise, preset, self.size
                ).clean
                image = torch.from_numpy(normalise_minmax(clean[0, 0].numpy())[0])
            self._cache[number] = ((image + 1) * 127.5).round()[None, None] / 255
        return self._cache[number]

    def lattice(self, number: int) -> AnyLattice:
        """Return the lattice of an image."""
        return self.lattices[0 if self.files else number % len(self.lattices)]


class StripedPair(NamedTuple):
    """An image with and without stripes.

    Attributes:
        striped: The image with stripes on [0, 1], [1, 1, side, side].
        clean: The image without stripes on [0, 1], [1, 1, side, side].
        stripes: The pixels in stripes, [1, 1, side, side] bool.
    """

    striped: Tensor
    clean: Tensor
    stripes: Tensor


@dataclass(frozen=True)
class StripedPairs:
    """Pairs of an image with and without stripes, as a thesis on ZrTe3 makes them of a few images.

    Pair i is a pure function of (seed, split, i). Its clean image is clean image i modulo their
    number: turned by up to 10 degrees in either direction, cropped to leave out the empty corners,
    resized; half of the pairs each are flipped along either axis, inverted, blurred, given salt and
    pepper. Its other image has stripes at random rows, of random widths; their pixels are uniform
    noise from black to white.

    Attributes:
        clean: The clean images.
        side: Side of the pairs, px.
        pairs: Number of different pairs.
        count: Pairs in an epoch; consecutive epochs take consecutive pairs.
        stripes: Stripes in an image.
        widest: Largest width of a stripe, px.
    """

    clean: CleanImages
    side: int
    pairs: int
    count: int
    stripes: int
    widest: int
    fixed = False  # all pairs at once would fill the memory; they are made anew, each always alike

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Return pairs ``first`` .. ``last - 1`` of an epoch, on [-1, 1]."""
        numbers = [(epoch * self.count + index) % self.pairs for index in range(first, last)]
        pairs = concatenate([self.pair(number) for number in numbers])
        lattices = [self.clean.lattice(number % self.clean.count).name for number in numbers]
        return Images(
            noisy=2 * pairs.striped - 1,
            clean=2 * pairs.clean - 1,
            lattice=torch.tensor([list(LATTICES).index(name) for name in lattices]),
            orientation=torch.full((len(numbers), 3), torch.nan, dtype=torch.float64),
            number=torch.arange(first, last),
            truth={"stripes": pairs.stripes},
        )

    def pair(self, number: int) -> StripedPair:
        """Make a pair."""
        draws = generator(self.clean.seed, self.clean.split, number, "pair")
        clean = vary(self.clean[number % self.clean.count], self.side, draws)
        striped_rows = torch.zeros(self.side, dtype=torch.bool)
        starts = torch.randint(self.side, (self.stripes,), generator=draws)
        widths = torch.randint(1, self.widest + 1, (self.stripes,), generator=draws)
        for start, width in zip(starts.tolist(), widths.tolist(), strict=True):
            striped_rows[start : start + width] = True
        stripes = striped_rows[:, None].expand(clean.shape).clone()
        noise = torch.rand(clean.shape, generator=draws)
        return StripedPair(noise.where(stripes, clean), clean, stripes)


def vary(image: Tensor, side: int, draws: torch.Generator) -> Tensor:
    """Return a random variant [1, 1, side, side] of a clean image [1, 1, H, W] on [0, 1]."""
    turn, *chances, blur, salt = torch.rand(7, generator=draws).tolist()
    flip_rows, flip_columns, invert, blurs = (chance < HALF for chance in chances)
    # Rotation, crop to the largest square without empty corners and resize are one sampling.
    angle = math.radians(TURN * (2 * turn - 1))
    shrink = 1 / (math.cos(angle) + abs(math.sin(angle)))
    short = min(image.shape[-2:])
    scale = torch.tensor([short / image.shape[-1], short / image.shape[-2]]) * shrink
    c, s = math.cos(angle), math.sin(angle)
    turned = torch.tensor([[[c, -s, 0.0], [s, c, 0.0]]]) * scale[:, None]
    grid = F.affine_grid(turned, [1, 1, side, side], align_corners=False)
    image = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    image = image.flip([axis for axis, on in ((2, flip_rows), (3, flip_columns)) if on])
    if invert:
        image = 1 - image
    if blurs:
        image = _blurred(image, BLUR[0] + (BLUR[1] - BLUR[0]) * blur)
    if salt < HALF:
        grains = torch.rand(image.shape, generator=draws)
        share = SALT * salt / HALF
        image = image.masked_fill(grains < share / 2, 0.0).masked_fill(grains > 1 - share / 2, 1.0)
    return image


def _blurred(image: Tensor, sigma: float) -> Tensor:
    """Convolve an image [1, 1, H, W] with a Gaussian of ``sigma`` px."""
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None, None]
    padded = F.pad(image, (reach,) * 4, "replicate")
    return F.conv2d(F.conv2d(padded, kernel), kernel.mT)


@dataclass(frozen=True)
class StripedData:
    """Any number of pairs with and without stripes from a few clean images.

    The images of validation and test are never trained on, not even turned or flipped: of a folder
    they are the fourth and fifth of every five files, else they are simulated separately.

    Attributes:
        root: Folder of clean images (PNG, TIFF, .npy); None: simulated.
        lattices: Settings by lattice name, of simulated images.
        noise: Strengths, of which only those of the sample count.
        size: Side of simulated clean images, px.
        clean_images: Number of simulated clean images that are trained on.
        pairs: Training pairs that are made of the clean images.
        images_per_epoch: Pairs in an epoch; None: all.
        validation_images: Pairs that choose the best epoch.
        test_images: Pairs of the final numbers.
        stripes: Stripes in an image.
        widest: Largest width of a stripe, px.
        fraction: Use only this part of an epoch, and of the pairs of validation and test.
    """

    root: str | None
    lattices: Mapping[str, Mapping[str, Any]]
    noise: Noise
    size: int
    clean_images: int
    pairs: int
    images_per_epoch: int | None
    validation_images: int
    test_images: int
    stripes: int
    widest: int
    fraction: float = 1.0

    def splits(self, settings: PatchSettings) -> dict[str, StripedPairs]:
        """Return the pairs of each split; they are made when they are needed.

        Raises:
            ValueError: If a number makes no sense or the folder has too few images.
        """
        settings.require(
            "striped pairs", patches_per_image=1, sampling="random", augment=False, fresh=True
        )
        images_per_epoch = self.pairs if self.images_per_epoch is None else self.images_per_epoch
        check_whole_numbers(
            size=self.size,
            clean_images=self.clean_images,
            pairs=self.pairs,
            validation_images=self.validation_images,
            test_images=self.test_images,
            stripes=self.stripes,
            widest=self.widest,
            images_per_epoch=images_per_epoch,
        )
        files = (
            {split: () for split in SPLITS} if self.root is None else split_files(Path(self.root))
        )
        lattices = choose_lattices(self.lattices)
        validation = part_of(self.validation_images, self.fraction)
        test = part_of(self.test_images, self.fraction)
        held_out = math.ceil(self.clean_images / 5)
        clean_images = dict(zip(SPLITS, (self.clean_images, held_out, held_out), strict=True))
        pairs = dict(zip(SPLITS, (self.pairs, validation, test), strict=True))
        epoch = {**pairs, "train": part_of(images_per_epoch, self.fraction)}
        return {
            split: StripedPairs(
                CleanImages(
                    files=files[split],
                    lattices=lattices,
                    noise=self.noise,
                    size=self.size,
                    count=len(files[split]) or clean_images[split],
                    split=split,
                    seed=settings.seed,
                ),
                side=settings.window,
                pairs=pairs[split],
                count=epoch[split],
                stripes=self.stripes,
                widest=self.widest,
            )
            for split in SPLITS
        }

    def files(self) -> list[Path]:
        """Return the clean images of the folder; none if they are simulated."""
        parts = {} if self.root is None else split_files(Path(self.root))
        return [path for split in parts.values() for path in split]


def split_files(root: Path) -> dict[str, tuple[Path, ...]]:
    """Return the image files of each split of a folder, three of five for training.

    Raises:
        ValueError: If there is no such folder, or fewer than five images in it.
    """
    if not root.is_dir():
        raise ValueError(f"data.root: there is no folder {root}")
    files = sorted(path for path in root.iterdir() if path.suffix.lower() in DECODERS)
    if len(files) < 5:
        raise ValueError(
            f"{root} holds {len(files)} images ({', '.join(DECODERS)}): at least 5 are needed, of "
            "which one is held out for validation and one for the test"
        )
    parts = {"train": (0, 1, 2), "validation": (3,), "test": (4,)}
    return {
        split: tuple(path for place, path in enumerate(files) if place % 5 in numbers)
        for split, numbers in parts.items()
    }
