"""What the effects of the microscope have in common: the scene, the trace, draw and apply."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.registry import AnyLattice
from stm_experiments.simulator.microscope.path import ScanPath

Draws = dict[str, Tensor]


class Trace(Enum):
    """The direction in which the tip records a line."""

    FORWARD = "forward"
    BACKWARD = "backward"


class Recorded(NamedTuple):
    """A trace after an effect.

    Attributes:
        image: The trace, [N, 1, H, H].
        truth: The ground truth of the effect, by name.
    """

    image: Tensor
    truth: dict[str, Tensor]


@dataclass(frozen=True)
class Scene:
    """Images of one lattice while they are recorded.

    Attributes:
        lattice: The lattice of all images.
        seeds: The images' seeds.
        sample: Heights of the sample, larger than the image by the path's border on each side,
            [N, 1, C, C].
        path: The lines along which the sample is scanned.
        flat: The image through an ideal instrument without a step of the sample, [N, 1, H, H].
        corrugation: c, the 5-95 % range of the clean lattice, [N] float64.
        striation_draws: The two uniform draws of the paper's striation, [N, 2] float64.
        generators: The random streams of the detector, one per image, for each trace.
    """

    lattice: AnyLattice
    seeds: list[int]
    sample: Tensor
    path: ScanPath
    flat: Tensor
    corrugation: Tensor
    striation_draws: Tensor
    generators: dict[Trace, list[torch.Generator]]

    @property
    def size(self) -> int:
        """Image height and width, px."""
        return self.path.size


class Effect(Protocol):
    """Something that the microscope does to the images: a frozen dataclass of its strengths.

    To add one: a class, a field of ``Noise`` in acquisition order, its strengths in
    ``conf/noise/none.yaml``, and a line in the docstring of ``Topographs``.
    """

    def draw(self, scene: Scene) -> Draws:
        """Draw the strengths of each image, [N, ...] by name; nothing if the effect is off."""

    def apply(self, image: Tensor, draws: Draws, scene: Scene, trace: Trace) -> Recorded:
        """Apply what was drawn to a trace, [N, 1, H, H]; only called if something was drawn."""
