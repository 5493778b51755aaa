"""Clean images with simulated stripes as a source of pairs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.normalisation import normalise_minmax
from stm_experiments.core.seeds import generator, seed_of
from stm_experiments.data.batch import SPLITS, Images
from stm_experiments.data.module import PatchData, check_counts
from stm_experiments.data.sources.simulated import chosen_lattices, part_of
from stm_experiments.io.image import DECODERS, read_image
from stm_experiments.simulator import LATTICES, PRESETS, Noise, simulate

TURN = 10.0  # degrees, largest rotation
BLUR = (0.3, 1.5)  # px, standard deviation
SALT = 0.01  # share of the pixels, at most
HALF = 0.5  # share of the pairs with each of flips, inversion, blur, salt and pepper


@dataclass(frozen=True)
class CleanImages:
    """The few clean images of which all pairs of a split are made.

    Attributes:
        files: The user's; none: simulated ones.
        lattices: Of the simulated ones, by turns; the first one labels the user's.
        noise: Strengths, of which only what belongs to the sample counts.
        size: Side of simulated images, px.
        count: How many there are.
        split: ``train``, ``validation`` or ``test``.
        seed: Of everything random.
    """

    files: tuple[Path, ...]
    lattices: tuple[Any, ...]
    noise: Noise
    size: int
    count: int
    split: str
    seed: int
    _read: dict[int, Tensor] = field(default_factory=dict, compare=False, repr=False)

    def __getitem__(self, number: int) -> Tensor:
        """Image [1, 1, H, W] in 256 grey levels on [0, 1]; kept once it is made.

        Raises:
            ValueError: If a file cannot be used.
        """
        if number not in self._read:
            if self.files:
                image = torch.from_numpy(normalise_minmax(read_image(self.files[number]))[0])
            else:
                seed = seed_of(self.seed, self.split, number, "clean image")
                lattice, preset = self.lattices[number % len(self.lattices)], PRESETS["physical"]
                clean = simulate([lattice], [seed], self.noise, preset, self.size).clean[0, 0]
                image = torch.from_numpy(normalise_minmax(clean.numpy())[0])
            self._read[number] = ((image + 1) * 127.5).round()[None, None] / 255
        return self._read[number]

    def label(self, number: int) -> int:
        """Index of an image's lattice."""
        lattice = self.lattices[0 if self.files else number % len(self.lattices)]
        return list(LATTICES).index(lattice.name)


@dataclass(frozen=True)
class StripedPairs:
    """Pairs of an image with and without stripes, as a thesis on ZrTe3 makes them of a few images.

    Pair i is a pure function of (seed, split, i): clean image i modulo their number, turned by up
    to 10 degrees either way, the empty corners cropped, resized; half of the pairs each flipped
    along either axis, inverted, blurred, given salt and pepper; that is the clean one. Then stripes
    at random rows, of random widths, whose pixels are uniform noise from black to white.

    Attributes:
        clean: The clean images.
        side: Side of the pairs, px.
        pairs: How many different pairs there are.
        count: Pairs in an epoch; they are gone through by turns, epoch after epoch.
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
        """Pairs first .. last - 1 of an epoch, on [-1, 1]."""
        numbers = [(epoch * self.count + index) % self.pairs for index in range(first, last)]
        made = [self.pair(number) for number in numbers]
        noisy, clean, stripes = (torch.cat(each) for each in zip(*made, strict=True))
        labels = [self.clean.label(number % self.clean.count) for number in numbers]
        return Images(
            noisy=2 * noisy - 1,
            clean=2 * clean - 1,
            lattice=torch.tensor(labels),
            orientation=torch.full((len(numbers), 3), torch.nan, dtype=torch.float64),
            number=torch.arange(first, last),
            truth={"stripes": stripes},
        )

    def pair(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Striped and clean image on [0, 1], and where the stripes are; [1, 1, side, side] each."""
        draws = generator(self.clean.seed, self.clean.split, number, "pair")
        clean = augmented(self.clean[number % self.clean.count], self.side, draws)
        stripes = torch.zeros(self.side, dtype=torch.bool)
        starts = torch.randint(self.side, (self.stripes,), generator=draws)
        widths = torch.randint(1, self.widest + 1, (self.stripes,), generator=draws)
        for start, width in zip(starts.tolist(), widths.tolist(), strict=True):
            stripes[start : start + width] = True
        mask = stripes[:, None].expand(clean.shape)
        noise = torch.rand(clean.shape, generator=draws)
        return noise.where(mask, clean), clean, mask.clone()


def augmented(image: Tensor, side: int, draws: torch.Generator) -> Tensor:
    """One variant of a clean image [1, 1, H, W] on [0, 1], [1, 1, side, side]."""
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
    """An image [1, 1, H, W] convolved with a Gaussian of ``sigma`` px."""
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None, None]
    padded = F.pad(image, (reach,) * 4, "replicate")
    return F.conv2d(F.conv2d(padded, kernel), kernel.mT)


class StripedData(PatchData):
    """Any number of pairs with and without stripes from a few clean images.

    The images of validation and test are never trained on, not even turned or flipped: with a
    folder they are the fourth and fifth of every five files, else simulated for themselves.

    Args:
        root: Folder of clean images (PNG, TIFF, .npy); None: simulated.
        lattices: Settings by lattice name, of simulated images.
        noise: Strengths, of which only those of the sample count.
        size: Side of simulated clean images, px.
        clean_images: How many of them are trained on.
        pairs: Training pairs that are made of them.
        images_per_epoch: Pairs in an epoch; None: all.
        validation_images: Pairs on which the best epoch is chosen.
        test_images: Pairs of the final numbers.
        stripes: Stripes in an image.
        widest: Largest width of a stripe, px.
        fraction: Of an epoch, and of the pairs of validation and test, use only this part.
        window: Side of the pairs, px.
        cutting: As for ``PatchData``.

    Raises:
        ValueError: If a number makes no sense or the folder has too few images.
    """

    def __init__(
        self,
        *,
        root: str | None,
        lattices: Mapping[str, Mapping[str, Any]],
        noise: Noise,
        size: int,
        clean_images: int,
        pairs: int,
        images_per_epoch: int | None,
        validation_images: int,
        test_images: int,
        stripes: int,
        widest: int,
        fraction: float,
        window: int,
        seed: int,
        **cutting: Any,
    ) -> None:
        check_counts(
            size=size, clean_images=clean_images, pairs=pairs, validation_images=validation_images,
            test_images=test_images, stripes=stripes, widest=widest,
            images_per_epoch=pairs if images_per_epoch is None else images_per_epoch,
        )  # fmt: skip
        epoch = part_of(pairs if images_per_epoch is None else images_per_epoch, fraction)
        counts = (pairs, part_of(validation_images, fraction), part_of(test_images, fraction))
        files = {split: () for split in SPLITS} if root is None else split_files(Path(root))
        held_out = math.ceil(clean_images / 5)
        few = dict(zip(SPLITS, (clean_images, held_out, held_out), strict=True))
        sources = {
            split: StripedPairs(
                CleanImages(
                    files=files[split],
                    lattices=chosen_lattices(lattices),
                    noise=noise,
                    size=size,
                    count=len(files[split]) or few[split],
                    split=split,
                    seed=seed,
                ),
                side=window,
                pairs=count,
                count=epoch if split == "train" else count,
                stripes=stripes,
                widest=widest,
            )
            for split, count in zip(SPLITS, counts, strict=True)
        }
        super().__init__(
            sources, window=window, seed=seed, patches_per_image=1, sampling="random", stride=1,
            augment=False, fresh=True, **cutting,
        )  # fmt: skip


def split_files(root: Path) -> dict[str, tuple[Path, ...]]:
    """The image files of a folder, three of five for training.

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
