"""Simulation of topographs as pure functions of the lattice, the seed and the noise's strengths."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.checks import (
    by_name,
    check_counts,
    check_drawable,
    checked_orientation,
    checked_size,
    triples,
)
from stm_experiments.simulator.lattices.atoms import Atoms
from stm_experiments.simulator.lattices.cut import Lattice, place_atoms
from stm_experiments.simulator.lattices.flat import FlatLattice
from stm_experiments.simulator.lattices.registry import LATTICES, AnyLattice, lattice_label
from stm_experiments.simulator.microscope.path import ScanPath
from stm_experiments.simulator.noise import NOISES, Noise
from stm_experiments.simulator.presets import PRESETS, Preset
from stm_experiments.simulator.rendering.render import DrawnAtoms, draw, drawn_centres
from stm_experiments.simulator.scene import Recorded, Scene, Trace
from stm_experiments.simulator.surface.cut_surface import draw_cut_surface
from stm_experiments.simulator.surface.domains import Crystal
from stm_experiments.simulator.surface.exclusion import not_excluded
from stm_experiments.simulator.surface.flat_surface import draw_flat_surface, render_flat
from stm_experiments.simulator.surface.surface import Surface, SurfacePlan
from stm_experiments.simulator.topographs import Topographs, in_order

Generators = list[torch.Generator]


class ImageDraws(NamedTuple):
    """The uniform draws of N images, [N, K] float64 in [0, 1).

    Attributes:
        orientation: Azimuth, tilt and rotation, K = 3.
        second: The same of a second domain.
        offset: Of the lattice's origin, K = 3.
        boundary: Of the boundary between two domains, K = 10.
        striation: Of the paper's striation, K = 2.
    """

    orientation: Tensor
    second: Tensor
    offset: Tensor
    boundary: Tensor
    striation: Tensor


@dataclass(frozen=True)
class Simulator:
    """The settings of a simulation.

    Attributes:
        noise: Strengths of the noise.
        preset: The simulator's version.
        size: Image height and width, px.
        domains: 1, or 2 for two orientations of the lattice side by side in one image.
        backward: Whether to simulate the backward trace too.
        device: Where the images are computed and returned. Atoms and labels stay on the CPU.

    Raises:
        ValueError: If a value makes no sense.
    """

    noise: Noise = field(default_factory=Noise)
    preset: Preset = PRESETS["physical"]
    size: int = 257
    domains: int = 1
    backward: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size(self.size))
        if self.domains not in (1, 2):
            raise ValueError(f"domains must be 1 or 2, got {self.domains}")

    def simulate(
        self,
        lattices: Sequence[AnyLattice],
        seeds: Sequence[int],
        orientation: Tensor | ArrayLike | None = None,
    ) -> Topographs:
        """Simulate a batch of images; see the function ``simulate``."""
        if orientation is not None:
            orientation = checked_orientation(orientation)
        check_counts(lattices, seeds, orientation)
        groups: list[Topographs] = []
        order: list[int] = []
        for lattice in dict.fromkeys(lattices):
            check_drawable(lattice, self.preset)
        for lattice in dict.fromkeys(lattices):
            index = [i for i, other in enumerate(lattices) if other == lattice]
            groups.append(
                self._of_one_lattice(
                    lattice,
                    [int(seeds[i]) for i in index],
                    None if orientation is None else orientation[index],
                )
            )
            order += index
        if len(groups) == 1:
            return groups[0]
        return in_order(groups, torch.tensor(order).argsort())

    def _of_one_lattice(
        self, lattice: AnyLattice, seeds: list[int], orientation: Tensor | None
    ) -> Topographs:
        """Simulate images of one lattice: the sample, its scan, and each trace of the scan."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        draws = draw_images(generators)
        crystal = Crystal(
            orientation=draws.orientation if orientation is None else orientation,
            offset=draws.offset if self.preset.uniform_offset else torch.zeros_like(draws.offset),
            second=draws.second if self.domains == 2 else None,
            boundary=2 * draws.boundary - 1,
        )
        path = self._path(lattice, seeds)
        surface = self._surface(lattice, crystal, seeds, generators, path)
        inside = slice(path.border, path.border + self.size)
        corrugation = corrugation_of(surface.flat[..., inside, inside])
        sample = surface.heights(corrugation)
        flat = path.image(surface.flat)
        clean = flat if sample is surface.flat else path.image(sample)
        scene = Scene(
            lattice=lattice,
            seeds=seeds,
            sample=sample,
            path=path,
            flat=flat,
            corrugation=corrugation,
            striation_draws=draws.striation,
            generators=self._detector_generators(seeds, generators),
        )
        traces = {
            trace: self._record(clean, scene, trace)
            for trace in Trace
            if self.backward or trace is Trace.FORWARD
        }
        atoms = path.atoms(surface.atoms)
        truth = {"corrugation": corrugation} | surface.truth(atoms, path)
        if path.border:
            truth["moved"] = path.moved
        for recorded in traces.values():
            truth |= recorded.truth
        u, v, depth = (x.where(atoms.present, 0) for x in (atoms.u, atoms.v, atoms.depth))
        return Topographs(
            noisy=traces[Trace.FORWARD].image,
            clean=clean,
            lattice=torch.full((len(seeds),), lattice_label(lattice)),
            orientation=crystal.orientation,
            offset=crystal.offset,
            atoms=Atoms(u, v, depth, atoms.present),
            domain=None if surface.domain is None else path.labels(surface.domain),
            second_orientation=crystal.second,
            backward=traces[Trace.BACKWARD].image if self.backward else None,
            truth=truth,
        )

    def _path(self, lattice: AnyLattice, seeds: list[int]) -> ScanPath:
        """Draw where the lines run; what moves them, or a double tip, needs a larger sample."""
        motion, tip = self.noise.motion, self.noise.tip
        moved = motion.draw(self.size, seeds)
        if tip.changes:
            moved = moved + tip.draw_jumps(self.size, seeds)
        border = motion.border(tip.largest_jump, self.size) + tip.reach(lattice)
        return ScanPath(moved, border)

    def _surface(
        self,
        lattice: AnyLattice,
        crystal: Crystal,
        seeds: list[int],
        generators: Generators,
        path: ScanPath,
    ) -> Surface:
        """Draw the surface, with a border for the path."""
        plan = SurfacePlan(
            crystal=crystal,
            sample=self.noise.sample,
            defects=self.noise.defects,
            preset=self.preset,
            seeds=seeds,
            generators=generators,
            size=self.size + 2 * path.border,
            device=self.device,
        )
        if isinstance(lattice, FlatLattice):
            return draw_flat_surface(lattice, plan)
        return draw_cut_surface(lattice, plan)

    def _detector_generators(
        self, seeds: list[int], generators: Generators
    ) -> dict[Trace, Generators]:
        """Return the detector's streams: on a CPU, the forward trace continues the images' own."""
        if self.device.type != "cpu":
            on_device = [torch.Generator(self.device).manual_seed(seed) for seed in seeds]
            return {Trace.FORWARD: on_device, Trace.BACKWARD: on_device}
        backward = [image_stream(seed, "backward") for seed in seeds] if self.backward else []
        return {Trace.FORWARD: generators, Trace.BACKWARD: backward}

    def _record(self, clean: Tensor, scene: Scene, trace: Trace) -> Recorded:
        """Apply the effects of the microscope to a trace, in acquisition order."""
        recorded = Recorded(clean, {})
        for effect in self.noise.effects:
            draws = effect.draw(scene)
            if draws:
                image, truth = effect.apply(recorded.image, draws, scene, trace)
                recorded = Recorded(image, recorded.truth | truth)
        if recorded.image is clean:
            recorded = recorded._replace(image=clean.clone())
        return recorded


def draw_images(generators: Generators) -> ImageDraws:
    """Draw what is drawn of every image, whatever the options are."""
    uniform = torch.stack([torch.rand(21, generator=g, dtype=torch.float64) for g in generators])
    return ImageDraws(*torch.split(uniform, [3, 3, 3, 10, 2], 1))


def corrugation_of(image: Tensor) -> Tensor:
    """Return c, the 5-95 % range of every fourth px along each axis of the images, [N] float64."""
    values = image[:, 0, ::4, ::4].flatten(1).cpu()
    rank = torch.tensor([0.05, 0.95]) * (values.shape[1] - 1)
    below, above = rank.floor().long(), rank.ceil().long()
    # The numbers of torch.quantile, which sorts everything and takes four times as long.
    places = [*below.tolist(), *above.tolist()]
    ordered = torch.from_numpy(np.partition(values.numpy(), places, axis=1))
    low, high = torch.lerp(ordered[:, below], ordered[:, above], rank - below).unbind(1)
    return (high - low).double()


def simulate(
    lattices: str | AnyLattice | Sequence[str | AnyLattice],
    seeds: Sequence[int],
    noise: str | Noise = "none",
    preset: str | Preset = "physical",
    size: int = 257,
    domains: int = 1,
    *,
    orientation: Tensor | ArrayLike | None = None,
    backward: bool = False,
) -> Topographs:
    """Simulate a batch of images, each from its own seed.

    Image i draws everything from its own generators, so it does not depend on the other images of
    the batch (bitwise on a CPU; on a GPU the white noise and the last bits differ). ``Simulator``
    does the same on another device.

    Args:
        lattices: The lattice of all images or of each, or names such as "fcc".
        seeds: The seed of each image; its low 32 bits count.
        noise: Strengths of the noise, or the name of a file of conf/noise, e.g. "paper".
        preset: A version of the simulator or its name: "physical", "published" or "released".
        size: Image height and width, px.
        domains: 1, or 2 for two orientations of the lattice side by side in one image.
        orientation: Orientations to use instead of drawn ones, [N, 3] in [0, 1).
        backward: Whether to simulate the backward trace too.

    Returns:
        The topographs, in the order of ``seeds``.

    Raises:
        ValueError: If the arguments do not fit together.
    """
    if np.ndim(seeds) == 0:
        raise ValueError(f"seeds has the seed of each image, such as [0, 1, 2], not {seeds!r}")
    simulator = Simulator(
        noise=by_name(noise, NOISES, "noise"),
        preset=by_name(preset, PRESETS, "preset"),
        size=size,
        domains=domains,
        backward=backward,
    )
    if isinstance(lattices, str | Lattice | FlatLattice):
        lattices = [lattices] * len(seeds)
    chosen = [by_name(lattice, LATTICES, "lattice") for lattice in lattices]
    return simulator.simulate(chosen, seeds, orientation)


def render_topographs(
    lattice: str | AnyLattice,
    orientation: Tensor | ArrayLike,
    preset: str | Preset = "physical",
    size: int = 257,
    offset: Tensor | ArrayLike | None = None,
) -> Tensor:
    """Draw topographs without noise.

    Args:
        lattice: A lattice or its name, e.g. "fcc".
        orientation: Azimuth, tilt and in-plane rotation as fractions of the lattice's
            ``azimuth_max``, ``tilt_max`` and ``rotation_max``, [N, 3] or [3], in [0, 1).
        preset: A version of the simulator or its name: "physical", "published" (redraws the
            published sc, bcc and fcc images) or "released" (the authors' program).
        size: Image height and width, px.
        offset: Origin of the lattice as fractions of its conventional cell, of the shape of
            ``orientation``; default 0, an atom's site in the plane at pixel size // 2.

    Returns:
        Heights, [N, 1, size, size] float32, not normalised: about 0 to 4.

    Raises:
        ValueError: If a name is unknown, or a value or a shape is not as described.
    """
    lattice = by_name(lattice, LATTICES, "lattice")
    preset = by_name(preset, PRESETS, "preset")
    size = checked_size(size)
    angles = checked_orientation(orientation)
    check_drawable(lattice, preset)
    origin = None
    if offset is not None:
        origin = triples(offset, "offset")
        if origin.shape != angles.shape:
            raise ValueError(f"{len(origin)} offsets were given for {len(angles)} orientations")
    if isinstance(lattice, FlatLattice):
        start = torch.zeros_like(angles) if origin is None else origin
        return render_flat(lattice, angles, start, size)
    atoms = place_atoms(lattice, angles, preset, size, origin)
    centres = drawn_centres(atoms, lattice, preset, size)
    present = not_excluded(centres, atoms.depth, atoms.present, lattice, preset, size)
    return draw(DrawnAtoms(centres, atoms.depth, present), lattice, preset, size)
