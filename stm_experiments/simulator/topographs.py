"""Simulated topographs: pure functions of the lattice, the seed and the strengths of the noise."""

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.batch import Topographs, in_order
from stm_experiments.simulator.checks import (
    check_drawable,
    checked_orientation,
    checked_size,
    named,
    triples,
)
from stm_experiments.simulator.lattices.bulk import PRESETS, Atoms, Preset, place_atoms
from stm_experiments.simulator.lattices.flat import FlatLattice
from stm_experiments.simulator.lattices.registry import LATTICES, AnyLattice
from stm_experiments.simulator.microscope.detector import DetectorNoise, add_detector_noise
from stm_experiments.simulator.microscope.motion import (
    displacement,
    margin,
    scan_labels,
    scan_lines,
    seen_at,
)
from stm_experiments.simulator.microscope.scan import add_scan, stripes
from stm_experiments.simulator.microscope.stripes import add_stripes
from stm_experiments.simulator.microscope.tip import (
    change_tip,
    jumps,
    through_tip,
    tip_changes,
    tip_reach,
)
from stm_experiments.simulator.noises import Noise
from stm_experiments.simulator.rendering.render import draw, drawn_centres
from stm_experiments.simulator.strengths import is_off
from stm_experiments.simulator.surface.exclusion import not_excluded
from stm_experiments.simulator.surface.flat_surface import draw_flat_surface, render_flat
from stm_experiments.simulator.surface.surface import Crystal, draw_surface


def simulate(
    lattices: Sequence[AnyLattice],
    seeds: Sequence[int],
    noise: Noise,
    preset: Preset,
    size: int = 257,
    domains: int = 1,
    orientation: Tensor | None = None,
    device: torch.device | str = "cpu",
    backward: bool = False,
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
        backward: Whether to simulate the backward trace too.

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
        groups.append(
            _simulate_lattice(lattice, own, noise, preset, size, domains, given, device, backward)
        )
        order += index
    if len(groups) == 1:
        return groups[0]
    return in_order(groups, torch.tensor(order).argsort())


def _simulate_lattice(
    lattice: AnyLattice,
    seeds: list[int],
    noise: Noise,
    preset: Preset,
    size: int,
    domains: int,
    orientation: Tensor | None,
    device: torch.device,
    backward: bool,
) -> Topographs:
    """Images of one lattice; see ``simulate``."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    uniform = torch.stack(
        [torch.rand(21, generator=g, dtype=torch.float64) for g in generators]
    )  # all of them in every case, so that an image's draws do not depend on the options
    drawn, second, offset, coefficients, stripe_draws = uniform.split((3, 3, 3, 10, 2), 1)
    orientation = drawn if orientation is None else orientation
    crystal = Crystal(
        lattice=lattice,
        orientation=orientation,
        offset=offset if preset.uniform_offset else torch.zeros_like(offset),
        second=second if domains == 2 else None,
        boundary=2 * coefficients - 1,
    )
    # What moves the geometry, or sees from outside the image into it, needs a larger sample.
    border = margin(noise.motion, noise.tip.change_jump if noise.tip.changes else 0.0, size)
    border += tip_reach(noise.tip, lattice)
    drawing = (generators, seeds, noise, preset, size + 2 * border, device)
    if isinstance(lattice, FlatLattice):
        sample = draw_flat_surface(lattice, crystal, *drawing)
    else:
        sample = draw_surface(lattice, crystal, *drawing)
    corrugation = corrugation_of(sample.flat[..., border : border + size, border : border + size])
    truth: dict[str, Tensor] = {"corrugation": corrugation}

    moved = displacement(noise.motion, size, seeds)
    change = None
    if noise.tip.changes:
        change, jump = tip_changes(noise.tip, size, seeds)
        moved = moved + jumps(change, jump, size)
        truth["tip_change"] = change
    domain, heights, flat = sample.domain, sample.heights(corrugation), sample.flat
    if border:
        truth["moved"] = moved
        if domain is not None:
            domain = scan_labels(domain, moved, border)
        flat = scan_lines(flat, moved, border)
    clean = flat
    if heights is not sample.flat:
        clean = scan_lines(heights, moved, border) if border else heights
    u, v = (x - border for x in (sample.atoms.u, sample.atoms.v))
    if border:
        u, v = seen_at(u, v, moved)
    truth |= sample.labels(u, v, moved, border, size)

    seen = through_tip(heights, clean, moved, border, lattice, noise.tip, seeds, truth)
    on_device = generators
    if device.type != "cpu":
        on_device = [torch.Generator(device).manual_seed(seed) for seed in seeds]
    back = [image_stream(seed, "backward") for seed in seeds] if device.type == "cpu" else on_device
    traces = []
    for trace, draws in ((False, on_device), (True, back))[: 1 + backward]:
        image = seen
        if change is not None:
            image = change_tip(image, change, corrugation, noise.tip, seeds, trace)
        if not is_off(noise.scan.striation):
            image = image + stripes(
                stripe_draws.to(device), noise.scan, lattice, size, seeds, truth
            )
        image = add_scan(image, corrugation, noise.scan, seeds, truth, trace)
        if noise.detector != DetectorNoise():
            image = add_detector_noise(image, flat, draws, noise.detector, seeds, corrugation)
        image = add_stripes(image, corrugation, noise.stripes, seeds, truth, trace)
        traces.append(clean.clone() if image is clean else image)
    present = sample.atoms.present
    u, v, depth = (x.where(present, 0) for x in (u, v, sample.atoms.depth))
    return Topographs(
        noisy=traces[0],
        clean=clean,
        lattice=torch.full((len(seeds),), list(LATTICES).index(lattice.name)),
        orientation=orientation,
        offset=crystal.offset,
        atoms=Atoms(u, v, depth, present),
        domain=domain,
        second_orientation=crystal.second,
        backward=traces[1] if backward else None,
        truth=truth,
    )


def corrugation_of(image: Tensor) -> Tensor:
    """c: the 5-95 % range of the clean lattice, [N] float64, of every fourth px along each axis."""
    values = image[:, 0, ::4, ::4].flatten(1)
    ends = torch.quantile(values, torch.tensor([0.05, 0.95], device=image.device), dim=1)
    return (ends[1] - ends[0]).to("cpu", torch.float64)


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
    if isinstance(lattice, FlatLattice):
        start = torch.zeros_like(angles) if origin is None else origin
        return render_flat(lattice, angles, start, size)
    atoms = place_atoms(lattice, angles, preset, size, origin)
    centres = drawn_centres(atoms, lattice, preset, size)
    present = not_excluded(centres, atoms.depth, atoms.present, lattice, preset, size)
    return draw(centres, atoms.depth, present, lattice, preset, size)
