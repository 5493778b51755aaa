"""Batches of patches and sets of images, the same from every source."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.simulator import LATTICES

SPLITS = ("train", "validation", "test")
LABELS = (*LATTICES, "unknown lattice")  # the last one is label -1, too


class Batch(NamedTuple):
    """Patches and what is known about them, the same from every source.

    Attributes:
        noisy: Patches [B, 1, h, w] on [-1, 1], scaled with their image's minimum and maximum.
        clean: The same patches without noise, scaled with the noisy image's map; or None.
        lattice: Lattice labels [B], indices into ``simulator.LATTICES``; -1 where unknown.
        orientation: The three uniforms (azimuth, tilt, rotation) [B, 3]; NaN where unknown.
        image: Number of the source image within its split and epoch [B].
        position: Row and column of the patch's first pixel in its image, px [B, 2].
        truth: Whatever else the source knows, by name: ``stripes`` [B, 1, h, w] bool.
        whole: Patches of the whole batch where several processes share it, else None.
    """

    noisy: Tensor
    clean: Tensor | None
    lattice: Tensor
    orientation: Tensor
    image: Tensor
    position: Tensor
    truth: dict[str, Tensor]
    whole: int | None = None


class Images(NamedTuple):
    """Whole images, normalised and ready to be cut.

    Attributes:
        noisy: [N, 1, H, W] on [-1, 1].
        clean: [N, 1, H, W] in the noisy images' scale, or None.
        lattice: Lattice labels [N].
        orientation: The three uniforms [N, 3].
        number: Numbers of the images within their split and epoch [N].
        truth: What else the source knows of each pixel, by name: ``stripes`` [N, 1, H, W] bool.
    """

    noisy: Tensor
    clean: Tensor | None
    lattice: Tensor
    orientation: Tensor
    number: Tensor
    truth: dict[str, Tensor] = {}  # noqa: RUF012 - never changed

    def to(self, device: torch.device) -> "Images":
        """The same images on another device."""
        return self._replace(
            noisy=self.noisy.to(device),
            clean=None if self.clean is None else self.clean.to(device),
            lattice=self.lattice.to(device),
            orientation=self.orientation.to(device),
            number=self.number.to(device),
            truth={name: known.to(device) for name, known in self.truth.items()},
        )

    @staticmethod
    def joined(parts: Sequence["Images"], order: Tensor) -> "Images":
        """The images of all parts, which agree in what they know, in another order [N]."""

        def join(columns: Sequence[Tensor]) -> Tensor:
            return torch.cat(list(columns))[order]

        clean = [part.clean for part in parts if part.clean is not None]
        return Images(
            join([part.noisy for part in parts]),
            join(clean) if clean else None,
            join([part.lattice for part in parts]),
            join([part.orientation for part in parts]),
            join([part.number for part in parts]),
            {name: join([part.truth[name] for part in parts]) for name in parts[0].truth},
        )

    def part(self, first: int, last: int) -> "Images":
        """Images first .. last - 1."""
        return Images(
            self.noisy[first:last],
            None if self.clean is None else self.clean[first:last],
            self.lattice[first:last],
            self.orientation[first:last],
            self.number[first:last],
            {name: known[first:last] for name, known in self.truth.items()},
        )
