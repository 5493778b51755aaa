"""Site patches of the user's own images."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stm_experiments.core.texts import printable
from stm_experiments.data.settings import PatchSettings, check_whole_numbers, part_of
from stm_experiments.data.sites.site_loader import SiteImages
from stm_experiments.data.sites.sites import SiteImage, make_site_image
from stm_experiments.io.read import read_scan
from stm_experiments.io.scan_files import find_scan_files

log = logging.getLogger(__name__)

HELD_OUT = 10  # one of so many sites of an image is held out


@dataclass(frozen=True)
class SiteData:
    """Sites of the lattices of the user's own images.

    Every image is trained on, because its defects are to be found; every tenth site is held out for
    validation. The neighbours of a held-out site show most of what it shows: its loss says whether
    the training worked, and not how well the network would do on another sample.

    Attributes:
        root: An image or microscope file, a folder of them, or a pattern with ``*``.
        channel: As for ``read_scan``; None: topography.
        pixel_nm: Size of a pixel, nm, or its height and width; None: the files'.
        width: Side of a patch, distances of nearest neighbours.
        patches_per_epoch: Patches of an epoch, the same sites again and again; None: each site
            once.
        fraction: Use only this part of the images.
    """

    root: str | None
    channel: str | None = None
    pixel_nm: float | Sequence[float] | None = None
    width: float = 3.0
    patches_per_epoch: int | None = None
    fraction: float = 1.0

    def splits(self, settings: PatchSettings) -> dict[str, SiteImages]:
        """Read the images and find their sites.

        Raises:
            ValueError: If no image can be used.
        """
        check_site_settings(settings)
        if self.root is None:
            raise ValueError("say where the images are: data.root=<file or folder>")
        if self.patches_per_epoch is not None:
            check_whole_numbers(patches_per_epoch=self.patches_per_epoch)
        images = read_site_images(
            self.root, self.channel, settings.window, self.width, self.pixel_nm
        )
        images = images[: part_of(len(images), self.fraction)]
        held_out = [np.arange(len(image.kind)) % HELD_OUT == 0 for image in images]
        return {
            "train": SiteImages(images, [~part for part in held_out], self.patches_per_epoch),
            "validation": SiteImages(images, held_out),
        }

    def files(self) -> list[Path]:
        """Return the files of the folder, also those that cannot be used."""
        return [] if self.root is None else find_scan_files(self.root)


def check_site_settings(settings: PatchSettings) -> None:
    """Refuse settings that patches around sites cannot follow.

    Raises:
        ValueError: If there is such a setting.
    """
    if settings.need_clean:
        raise ValueError("sites have no noise-free partners: choose a model=...vae")
    settings.require("patches around sites", patches_per_image=1, sampling="random", fresh=True)


def read_site_images(
    root: str,
    channel: str | None,
    window: int,
    width: float,
    pixel_nm: float | Sequence[float] | None = None,
) -> list[SiteImage]:
    """Read images and find their sites; log and leave out those that cannot be used.

    Args:
        root: As for ``SiteData``.
        channel: As for ``read_scan``.
        window: Side of the patches, px.
        width: The same in distances of nearest neighbours.
        pixel_nm: Size of a pixel, nm, or its height and width; None: the file's.

    Raises:
        ValueError: If no image can be used.
    """
    images, reasons = [], []
    paths = find_scan_files(root)
    for path in paths:
        try:
            scan = read_scan(path, channel, pixel_nm=pixel_nm)
            image = make_site_image(
                printable(path.name),
                scan.data,
                window,
                width,
                mask=scan.mask,
                pixel_nm=scan.pixel_size,
            )
            images.append(image)
        except ValueError as error:
            log.warning("left out: %s: %s", printable(path.name), printable(error))
            reasons.append(error)
    if not images:
        raise ValueError(f"none of the {len(paths)} images can be used: {reasons[0]}")
    return images
