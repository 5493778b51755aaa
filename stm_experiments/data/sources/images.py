"""Image folders as a source of patches."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from stm_experiments.core.images import ImageError
from stm_experiments.core.normalisation import normalise_minmax
from stm_experiments.data.batch import SPLITS, Images
from stm_experiments.data.module import PatchData
from stm_experiments.data.sources.simulated import chosen_lattices, part_of
from stm_experiments.io.image import DECODERS, read_image
from stm_experiments.simulator import LATTICES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFile:
    """One noisy image of a folder, its noise-free partner if it has one, and its lattice label."""

    noisy: Path
    clean: Path | None
    lattice: int


def load_pair(file: ImageFile, resize: int | None) -> tuple[NDArray, NDArray | None]:
    """Reads an image and its partner in one common scale.

    The noisy image is mapped to [-1, 1] on its own pixels, before any resize (equation 1 of Binev
    et al.). Published pairs were scaled separately, so the clean image is first brought to the
    noisy one's scale by the affine map that fits it best.

    Args:
        file: What to read.
        resize: Side after a bilinear resize, px; None keeps the size.

    Returns:
        Noisy and clean, float32 [H, W].

    Raises:
        ImageError: If a file cannot be used, or the pair's sizes differ.
    """
    noisy, _ = normalise_minmax(read_image(file.noisy), str(file.noisy))
    clean = None
    if file.clean is not None:
        partner = read_image(file.clean)
        if partner.shape != noisy.shape:
            raise ImageError(
                f"{file.clean} is {partner.shape[0]}x{partner.shape[1]} px, but its noisy partner "
                f"is {noisy.shape[0]}x{noisy.shape[1]} px."
            )
        slope, shift = np.polyfit(partner.ravel(), noisy.ravel().astype(np.float64), 1)
        clean = (slope * partner + shift).astype(np.float32)
    if resize is not None:
        side = (resize, resize)
        noisy = np.asarray(Image.fromarray(noisy).resize(side, Image.Resampling.BILINEAR))
        if clean is not None:
            clean = np.asarray(Image.fromarray(clean).resize(side, Image.Resampling.BILINEAR))
    return noisy, clean


class FolderImages:
    """Images of one split, read when they are first needed.

    Args:
        files: What to read; all of one size after the resize.
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
        first = pairs[0][0].shape
        for file, (noisy, _) in zip(self.files, pairs, strict=True):
            if noisy.shape != first:
                raise ImageError(
                    f"{file.noisy} is {noisy.shape[0]}x{noisy.shape[1]} px, but "
                    f"{self.files[0].noisy.name} is {first[0]}x{first[1]} px: give all images one "
                    "size, or set data.resize."
                )
        clean = [clean for _, clean in pairs if clean is not None]
        return Images(
            noisy=torch.from_numpy(np.stack([noisy for noisy, _ in pairs]))[:, None],
            clean=torch.from_numpy(np.stack(clean))[:, None] if len(clean) == len(pairs) else None,
            lattice=torch.tensor([file.lattice for file in self.files]),
            orientation=torch.full((len(pairs), 3), torch.nan, dtype=torch.float64),
            number=torch.arange(len(pairs)),
        )

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Images first .. last - 1, the same in every epoch."""
        return self.images.part(first, last)


class ImageData(PatchData):
    """Patches of image files, with optional noise-free partners.

    ``root`` holds ``train``, ``validation`` and ``test`` and, for partners of the same file names,
    ``train_clean`` and so on; or one such folder per lattice (``root/fcc/train``).

    Args:
        root: The folder.
        lattices: Settings by lattice name; the names label the images.
        resize: Side after a bilinear resize, px; None keeps the images as they are.
        fraction: Use only this part of the images of each split, spread over its lattices.
        need_clean: Leave out training images without partner, because training needs it.
        cutting: How patches are cut; see ``PatchData``.

    Raises:
        ValueError: If the folder does not hold such images.
    """

    def __init__(
        self,
        *,
        root: str | None,
        lattices: Mapping[str, Mapping[str, Any]],
        resize: int | None,
        need_clean: bool,
        fraction: float = 1.0,
        **cutting: Any,
    ) -> None:
        if root is None:
            raise ValueError("say where the images are: data.root=<folder>")
        if not Path(root).is_dir():
            raise ValueError(f"data.root: there is no folder {root}")
        if resize is not None and (not isinstance(resize, int) or resize < cutting["window"]):
            raise ValueError(
                f"data.resize is a size in px of at least the network's {cutting['window']} px "
                f"patch, or null, not {resize!r}"
            )
        names = [lattice.name for lattice in chosen_lattices(lattices)]
        sources = {}
        for split in SPLITS:
            files = list_files(Path(root), names, split, need_clean)
            if files:
                count = part_of(len(files), fraction)
                spread = [files[index * len(files) // count] for index in range(count)]
                sources[split] = FolderImages(spread, resize)
        if not sources:
            raise ValueError(
                f"{root} holds none of the folders {', '.join(SPLITS)} (or <lattice>/train and so "
                f"on for {', '.join(names)})"
            )
        super().__init__(sources, need_clean=need_clean, **cutting)


def list_files(root: Path, lattices: list[str], split: str, need_clean: bool) -> list[ImageFile]:
    """Images of a split, sorted by lattice and name.

    Args:
        root: The data folder.
        lattices: Names of the lattices that are wanted.
        split: ``train``, ``validation`` or ``test``.
        need_clean: Whether a training image without partner is of no use.

    Returns:
        The files; none if the split is absent.

    Raises:
        ValueError: If a folder is there but holds no image, or images cannot be told apart.
    """
    labels = list(LATTICES)
    by_lattice = {name: root / name / split for name in lattices if (root / name).is_dir()}
    if not by_lattice:
        if len(lattices) > 1 and (root / split).is_dir():
            raise ValueError(
                f"{root} has no folder per lattice: choose one lattice, or sort the images into "
                + ", ".join(f"{name}/{split}" for name in lattices)
            )
        by_lattice = {lattices[0]: root / split}
    missing = [name for name in lattices if name not in by_lattice]
    if missing:
        raise ValueError(f"{root} has no folder for {', '.join(missing)}")
    files = []
    for name, folder in by_lattice.items():
        if not folder.is_dir():
            continue
        partners = folder.with_name(f"{split}_clean")
        here = [
            ImageFile(path, partner if partner.is_file() else None, labels.index(name))
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in DECODERS and not path.name.startswith(".")
            for partner in [partners / path.name]
        ]
        if not here:
            raise ValueError(f"{folder} holds no images ({', '.join(DECODERS)})")
        files += here
    paired = [file for file in files if file.clean is not None]
    if need_clean and split == "train":
        if not paired:
            raise ValueError(
                f"model.target=clean needs noise-free partners in {root}/{split}_clean"
            )
        for file in files:
            if file.clean is None:
                log.warning("%s has no noise-free partner and is left out", file.noisy)
        return paired
    if need_clean and split == "validation" and files and not paired:
        raise ValueError(
            f"model.target=clean chooses its best epoch on noise-free partners, which {root} does "
            f"not have in {split}_clean"
        )
    if split != "train" and paired:
        for file in files:
            if file.clean is None:
                log.warning("%s has no noise-free partner and is not scored", file.noisy)
        return paired
    # Training against the noisy image never looks at partners: do not read them.
    return [ImageFile(file.noisy, None, file.lattice) for file in files]
