"""Simulated topographs: pure functions of the lattice, the seed and the strengths of the noise."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from stm_experiments.simulator.checks import (
    check_drawable,
    checked_orientation,
    checked_size,
    named,
    triples,
)
from stm_experiments.simulator.detector import DetectorNoise, add_detector_noise
from stm_experiments.simulator.exclusion import not_excluded
from stm_experiments.simulator.lattice import (
    LATTICES,
    PRESETS,
    Atoms,
    Lattice,
    Preset,
    place_atoms,
)
from stm_experiments.simulator.render import draw, drawn_centres
from stm_experiments.simulator.sample import (
    SampleNoise,
    crop_map,
    domain_map,
    draw_sample,
    join_domains,
)
from stm_experiments.simulator.scan import ScanNoise, striation


@dataclass(frozen=True)
class Noise:
    """Noise in the order in which it arises: in the sample, along the scan, in the detector."""

    sample: SampleNoise = field(default_factory=SampleNoise)
    scan: ScanNoise = field(default_factory=ScanNoise)
    detector: DetectorNoise = field(default_factory=DetectorNoise)


NOISES: dict[str, Noise] = {
    "none": Noise(),
    "paper": Noise(SampleNoise(0.2 / 15, 0.045), ScanNoise(0.3), DetectorNoise(0.3, 3.5)),
}


class Topographs(NamedTuple):
    """Simulated images and what is true of them.

    Attributes:
        noisy: What the microscope records: clean + striation + Gaussian + Poisson,
            [N, 1, H, W] float32, not normalised.
        clean: The sample as it is (displaced atoms included) through an ideal instrument,
            [N, 1, H, W] float32, about 0 to 4.
        lattice: Index of the lattice in ``LATTICES``, [N] int64.
        orientation: Azimuth, tilt, rotation as fractions of their ranges, [N, 3] float64.
        offset: Origin of the lattice as fractions of its conventional cell, [N, 3] float64.
        atoms: The atoms as drawn, u and v in px of the image axes 0 and 1 (pixel 0 is the first),
            zero where not ``present``: padding and atoms that the exclusion removes.
        domain: +1, -1 in the two domains, 0 between them, [N, H, W] int8; None for one domain.
        second_orientation: Orientation of the second domain, [N, 3]; None for one domain.
    """

    noisy: Tensor
    clean: Tensor
    lattice: Tensor
    orientation: Tensor
    offset: Tensor
    atoms: Atoms
    domain: Tensor | None = None
    second_orientation: Tensor | None = None


def simulate(
    lattices: Sequence[Lattice],
    seeds: Sequence[int],
    noise: Noise,
    preset: Preset,
    size: int = 257,
    domains: int = 1,
    orientation: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> Topographs:
    """Simulate a batch of images, each from its own seed.

    Image i draws everything from its own generators, so it does not depend on the other images of
    the batch (bitwise on a CPU; on a GPU the white noise and the last bits differ).

    Args:
        lattices: The lattice of each image; different lattices may be mixed.
        seeds: The seed of each image; its low 32 bits count.
        noise: Strengths of the noise.
        preset: The simulator's version.
        size: Image height and width, px.
        domains: 1, or 2 for two orientations of the lattice side by side in one image.
        orientation: Orientations to use instead of drawn ones, [N, 3] in [0, 1).
        device: Where the images are computed and returned. Atoms and labels stay on the CPU.

    Returns:
        The topographs, in the order of ``seeds``.

    Raises:
        ValueError: If the arguments do not fit together.
    """
    size = checked_size(size)
    if len(lattices) != len(seeds) or not len(seeds):
        raise ValueError(
            f"one lattice and one seed per image are needed, "
            f"got {len(lattices)} lattices and {len(seeds)} seeds"
        )
    if domains not in (1, 2):
        raise ValueError(f"domains must be 1 or 2, got {domains}")
    if orientation is not None:
        orientation = checked_orientation(orientation)
        if len(orientation) != len(seeds):
            raise ValueError(f"{len(orientation)} orientations were given for {len(seeds)} images")
    for lattice in dict.fromkeys(lattices):
        check_drawable(lattice, preset)

    device = torch.device(device)
    order: list[int] = []
    groups: list[Topographs] = []
    for lattice in dict.fromkeys(lattices):
        index = [i for i, other in enumerate(lattices) if other == lattice]
        given = None if orientation is None else orientation[index]
        own = [int(seeds[i]) for i in index]
        groups.append(_simulate_lattice(lattice, own, noise, preset, size, domains, given, device))
        order += index
    if len(groups) == 1:
        return groups[0]
    return _in_order(groups, torch.tensor(order).argsort())


def _simulate_lattice(
    lattice: Lattice,
    seeds: list[int],
    noise: Noise,
    preset: Preset,
    size: int,
    domains: int,
    orientation: Tensor | None,
    device: torch.device,
) -> Topographs:
    """Images of one lattice; see ``simulate``."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    uniform = torch.stack(
        [torch.rand(21, generator=g, dtype=torch.float64) for g in generators]
    )  # all of them in every case, so that an image's draws do not depend on the options
    drawn, second, offset, coefficients, stripes = uniform.split((3, 3, 3, 10, 2), 1)
    orientation = drawn if orientation is None else orientation
    offset = offset if preset.uniform_offset else torch.zeros_like(offset)

    atoms = place_atoms(lattice, orientation, preset, size, offset)
    domain = None
    if domains == 2:
        domain = domain_map(2 * coefficients - 1, lattice, size)
        other = place_atoms(lattice, second, preset, size, offset)
        atoms = join_domains(atoms, other, domain, lattice)

    centres = drawn_centres(atoms, lattice, preset, size)
    present = not_excluded(centres, atoms.depth, atoms.present, lattice, preset, size)
    widths = None
    if noise.sample != SampleNoise():
        count = atoms.present.sum(1)
        jitter, widths = draw_sample(count, generators, noise.sample, lattice, preset)
        centres = drawn_centres(atoms, lattice, preset, size, jitter)
    clean = draw(centres, atoms.depth, present, lattice, preset, size, widths, device)

    noisy = clean
    if noise.scan.striation:
        noisy = noisy + striation(stripes.to(device), noise.scan, lattice, size)
    if noise.detector != DetectorNoise():
        if device.type != "cpu":
            generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        noisy = add_detector_noise(noisy, clean, generators, noise.detector)
    u, v, depth = (x.where(present, 0) for x in (centres.u, centres.v, atoms.depth))
    return Topographs(
        noisy=clean.clone() if noisy is clean else noisy,
        clean=clean,
        lattice=torch.full((len(seeds),), list(LATTICES).index(lattice.name)),
        orientation=orientation,
        offset=offset,
        atoms=Atoms(u, v, depth, present),
        domain=None if domain is None else crop_map(domain, size),
        second_orientation=None if domain is None else second,
    )


def _in_order(groups: list[Topographs], order: Tensor) -> Topographs:
    """Concatenate the groups and bring their images into the caller's order."""
    longest = max(group.atoms.u.shape[1] for group in groups)

    def join(parts: Sequence[Tensor | None]) -> Tensor:
        joined = torch.cat([part for part in parts if part is not None])
        return joined[order.to(joined.device)]

    atoms = (
        join([torch.nn.functional.pad(x, (0, longest - x.shape[1])) for x in parts])
        for parts in zip(*(group.atoms for group in groups), strict=True)
    )
    rest = {
        name: None if getattr(groups[0], name) is None else join([getattr(g, name) for g in groups])
        for name in Topographs._fields
        if name != "atoms"
    }
    return Topographs(atoms=Atoms(*atoms), **rest)  # type: ignore[arg-type]


def render_topographs(
    lattice: str | Lattice,
    orientation: Tensor | ArrayLike,
    preset: str | Preset = "physical",
    size: int = 257,
    offset: Tensor | ArrayLike | None = None,
) -> Tensor:
    """Draw topographs without noise.

    Args:
        lattice: A lattice or its name, e.g. "fcc".
        orientation: Azimuth, tilt and in-plane rotation as fractions of the lattice's
            ``azimuth_max``, ``tilt_max`` and 180 degrees, [N, 3] or [3], in [0, 1).
        preset: A version of the simulator or its name: "physical", "published" (redraws the
            published sc, bcc and fcc images) or "released" (the authors' program).
        size: Image height and width, px.
        offset: Origin of the lattice as fractions of its conventional cell, of the shape of
            ``orientation``; default 0, an atom's site in the plane at pixel size // 2.

    Returns:
        Heights, [N, 1, size, size] float32, not normalised: about 0 to 4.

    Raises:
        ValueError: If a name is not known, or a value or a shape is not as described.
    """
    lattice = named(lattice, LATTICES, "lattice")
    preset = named(preset, PRESETS, "preset")
    size = checked_size(size)
    angles = checked_orientation(orientation)
    check_drawable(lattice, preset)
    origin = None
    if offset is not None:
        origin = triples(offset, "offset")
        if origin.shape != angles.shape:
            raise ValueError(f"{len(origin)} offsets were given for {len(angles)} orientations")
    atoms = place_atoms(lattice, angles, preset, size, origin)
    centres = drawn_centres(atoms, lattice, preset, size)
    present = not_excluded(centres, atoms.depth, atoms.present, lattice, preset, size)
    return draw(centres, atoms.depth, present, lattice, preset, size)
