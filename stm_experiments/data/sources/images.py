"""Image folders as a data source."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from stm_experiments.core.batch import map_tensors
from stm_experiments.core.images import ImageError
from stm_experiments.core.normalisation import normalise_minmax
from stm_experiments.data.folds import fold_shares
from stm_experiments.data.image_set import Images
from stm_experiments.data.settings import SPLITS, PatchSettings, part_of
from stm_experiments.io.image import DECODERS, read_image
from stm_experiments.simulator import LATTICES, choose_lattices

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFile:
    """An image of a folder.

    Attributes:
        noisy: The noisy image.
        clean: Its noise-free partner, if it has one.
        lattice: Its lattice label.
    """

    noisy: Path
    clean: Path | None
    lattice: int


class Pair(NamedTuple):
    """An image and its noise-free partner in one scale.

    Attributes:
        noisy: The noisy image on [-1, 1], [H, W] float32.
        clean: Its partner, if it has one, [H, W] float32.
    """

    noisy: NDArray[np.float32]
    clean: NDArray[np.float32] | None


def load_pair(file: ImageFile, resize: int | None) -> Pair:
    """Read an image and its partner in one common scale.

    The noisy image is mapped to [-1, 1] on its own pixels, before any resize (equation 1 of Binev
    et al.). Published pairs were scaled separately: the clean image is first brought to the scale
    of the noisy one by the affine map that fits it best.

    Args:
        file: What to read.
        resize: Side after a bilinear resize, px; None keeps the size.

    Raises:
        ImageError: If a file cannot be used, or the pair's sizes differ.
    """
    noisy, _ = normalise_minmax(read_image(file.noisy), str(file.noisy))
    if file.clean is None:
        return Pair(resized(noisy, resize), None)
    partner = read_image(file.clean)
    if partner.shape != noisy.shape:
        raise ImageError(
            f"{file.clean} is {partner.shape[0]}x{partner.shape[1]} px, but its noisy partner "
            f"is {noisy.shape[0]}x{noisy.shape[1]} px."
        )
    slope, shift = np.polyfit(partner.ravel(), noisy.ravel().astype(np.float64), 1)
    clean = (slope * partner + shift).astype(np.float32)
    return Pair(resized(noisy, resize), resized(clean, resize))


def resized(image: NDArray[np.float32], side: int | None) -> NDArray[np.float32]:
    """Resize an image [H, W] to a square of ``side`` px, bilinear with antialiasing."""
    if side is None:
        return image
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


class FolderImages:
    """Image files of one split, read when they are first needed.

    Args:
        files: The files; all of one size after the resize.
        resize: Side after a bilinear resize, px; None keeps the size.
    """

    fixed = True

    def __init__(self, files: list[ImageFile], resize: int | None) -> None:
        self.files = files
        self.resize = resize
        self.count = len(files)

    @cached_property
    def images(self) -> Images:
        """All images.

        Raises:
            ImageError: If a file cannot be used, or the sizes differ.
        """
        pairs = [load_pair(file, self.resize) for file in self.files]
        height, width = pairs[0].noisy.shape
        for file, pair in zip(self.files, pairs, strict=True):
            if pair.noisy.shape != (height, width):
                raise ImageError(
                    f"{file.noisy} is {pair.noisy.shape[0]}x{pair.noisy.shape[1]} px, but "
                    f"{self.files[0].noisy.name} is {height}x{width} px: give all images one "
                    "size, or set data.resize."
                )
        clean = [pair.clean for pair in pairs if pair.clean is not None]
        return Images(
            noisy=torch.from_numpy(np.stack([pair.noisy for pair in pairs]))[:, None],
            clean=torch.from_numpy(np.stack(clean))[:, None] if len(clean) == len(pairs) else None,
            lattice=torch.tensor([file.lattice for file in self.files]),
            orientation=torch.full((len(pairs), 3), torch.nan, dtype=torch.float64),
            number=torch.arange(len(pairs)),
            truth={},
        )

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Return images ``first`` .. ``last - 1``, the same in every epoch."""
        return map_tensors(self.images, lambda tensor: tensor[first:last])


@dataclass(frozen=True)
class ImageData:
    """Image files, with or without noise-free partners.

    ``root`` holds ``train``, ``validation`` and ``test`` and, for partners of the same file names,
    ``train_clean`` and so on; or one such folder per lattice (``root/fcc/train``).

    Attributes:
        root: The folder.
        lattices: Settings by lattice name; the names label the images.
        resize: Side after a bilinear resize, px; None keeps the images as they are.
        fraction: Use only this part of the images of each split, spread over its lattices.
        folds: Put the images of all folders together and divide them into this many folds; None:
            the folders are the splits.
        fold: Number of the fold that is tested, from 0.
    """

    root: str | None
    lattices: Mapping[str, Mapping[str, Any]]
    resize: int | None = None
    fraction: float = 1.0
    folds: int | None = None
    fold: int = 0

    def splits(self, settings: PatchSettings) -> dict[str, FolderImages]:
        """List the images of each split; they are read when they are first needed.

        Raises:
            ValueError: If the folder does not hold such images.
        """
        if self.root is None:
            raise ValueError("say where the images are: data.root=<folder>")
        root = Path(self.root)
        if not root.is_dir():
            raise ValueError(f"data.root: there is no folder {root}")
        window = settings.window
        if self.resize is not None and (not isinstance(self.resize, int) or self.resize < window):
            raise ValueError(
                f"data.resize is a size in px of at least the network's {window} px patch, or "
                f"null, not {self.resize!r}"
            )
        lattices = self._lattice_names()
        sources = {}
        listed = {split: list_files(root, lattices, split) for split in SPLITS}
        if self.folds is not None:
            every = [file for files in listed.values() for file in files]
            shares = fold_shares(len(every), self.folds, self.fold, settings.seed)
            listed = {split: [every[i] for i in numbers] for split, numbers in shares.items()}
        for split in SPLITS:
            files = choose_files(listed[split], root, split, settings)
            if files:
                count = part_of(len(files), self.fraction)
                spread = [files[index * len(files) // count] for index in range(count)]
                sources[split] = FolderImages(spread, self.resize)
        if not sources:
            raise ValueError(
                f"{root} holds none of the folders {', '.join(SPLITS)} (or <lattice>/train and so "
                f"on for {', '.join(lattices)})"
            )
        return sources

    def files(self) -> list[Path]:
        """Return the images of all splits and their noise-free partners."""
        if self.root is None:
            return []
        root, lattices = Path(self.root), self._lattice_names()
        images = [image for split in SPLITS for image in list_files(root, lattices, split)]
        pairs = [path for image in images for path in (image.noisy, image.clean)]
        return [path for path in pairs if path is not None]

    def _lattice_names(self) -> list[str]:
        return [lattice.name for lattice in choose_lattices(self.lattices)]


def list_files(root: Path, lattices: list[str], split: str) -> list[ImageFile]:
    """List the images of a split and their partners, sorted by lattice and name.

    Args:
        root: The data folder.
        lattices: Names of the lattices whose images are listed.
        split: ``train``, ``validation`` or ``test``.

    Returns:
        The files; none if the split is absent.

    Raises:
        ValueError: If a folder holds no image, or the lattices of images cannot be told apart.
    """
    files = []
    for name, folder in lattice_folders(root, lattices, split).items():
        if not folder.is_dir():
            continue
        partners = folder.with_name(f"{split}_clean")
        label = list(LATTICES).index(name)
        paths = [
            path
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in DECODERS and not path.name.startswith(".")
        ]
        if not paths:
            raise ValueError(f"{folder} holds no images ({', '.join(DECODERS)})")
        for path in paths:
            partner = partners / path.name
            files.append(ImageFile(path, partner if partner.is_file() else None, label))
    return files


def lattice_folders(root: Path, lattices: list[str], split: str) -> dict[str, Path]:
    """Return the folder of a split for each lattice; it need not exist.

    Raises:
        ValueError: If there is no folder for a lattice.
    """
    folders = {name: root / name / split for name in lattices if (root / name).is_dir()}
    if not folders:
        if len(lattices) > 1 and (root / split).is_dir():
            raise ValueError(
                f"{root} has no folder per lattice: choose one lattice, or sort the images into "
                + ", ".join(f"{name}/{split}" for name in lattices)
            )
        folders = {lattices[0]: root / split}
    missing = [name for name in lattices if name not in folders]
    if missing:
        raise ValueError(f"{root} has no folder for {', '.join(missing)}")
    return folders


def choose_files(
    files: list[ImageFile], root: Path, split: str, settings: PatchSettings
) -> list[ImageFile]:
    """Leave out images without partners where partners are needed, and partners where not.

    Args:
        files: The images of the split.
        root: The data folder, for messages.
        split: ``train``, ``validation`` or ``test``.
        settings: Whether training needs partners.

    Raises:
        ValueError: If no image has the partner that it needs.
    """
    paired = [file for file in files if file.clean is not None]
    need_clean = settings.need_clean
    if need_clean and split == "train" and not paired:
        raise ValueError(f"model.target=clean needs noise-free partners in {root}/{split}_clean")
    if need_clean and split == "validation" and files and not paired:
        raise ValueError(
            f"model.target=clean chooses its best epoch on noise-free partners, which {root} does "
            f"not have in {split}_clean"
        )
    if paired and (need_clean or split != "train"):
        use = "left out" if split == "train" else "not scored"
        for file in files:
            if file.clean is None:
                log.warning("%s has no noise-free partner and is %s", file.noisy, use)
        return paired
    # Training against the noisy image never looks at partners: they are not read.
    return [ImageFile(file.noisy, None, file.lattice) for file in files]
