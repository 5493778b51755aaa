"""Sets of whole images, the same from every source."""

from typing import NamedTuple

from torch import Tensor

from stm_experiments.simulator import LATTICES


def lattice_names() -> list[str]:
    """Return the names of the lattice labels; the last one is label -1, too."""
    return [*LATTICES, "unknown lattice"]


class Images(NamedTuple):
    """Whole images, normalised and ready to be cut.

    Attributes:
        noisy: Images on [-1, 1], [N, 1, H, W].
        clean: The same images without noise, in the noisy images' scale, [N, 1, H, W]; or None.
        lattice: Lattice labels, as in ``Batch``, [N].
        orientation: The three uniforms (azimuth, tilt, rotation), NaN where unknown, [N, 3].
        number: Numbers of the images within their split and epoch, [N].
        truth: What else the source knows, by name, as in ``Batch``: of each pixel, [N, 1, H, W],
            or of each image, [N, K].
    """

    noisy: Tensor
    clean: Tensor | None
    lattice: Tensor
    orientation: Tensor
    number: Tensor
    truth: dict[str, Tensor]
