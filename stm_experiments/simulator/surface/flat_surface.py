"""Flat crystals before they are scanned: their atoms, defects, waves and heights."""

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from stm_experiments.simulator.lattices.bulk import Atoms, Preset
from stm_experiments.simulator.lattices.flat import (
    HEIGHT,
    Fault,
    FlatLattice,
    beyond_fault,
    corrugation_of_cell,
    cut_off,
    place_sites,
    reciprocal,
)
from stm_experiments.simulator.noises import Noise
from stm_experiments.simulator.rendering.render import Centres, draw_gaussians
from stm_experiments.simulator.strengths import bounds, draw_strength, is_off, uniforms
from stm_experiments.simulator.surface.cdw import Waves, draw_waves, waves_at
from stm_experiments.simulator.surface.defects import draw_step
from stm_experiments.simulator.surface.flat_defects import Columns, perfect, with_defects
from stm_experiments.simulator.surface.sample import (
    SampleNoise,
    crop_map,
    domain_map,
    draw_sample,
    join_domains,
)
from stm_experiments.simulator.surface.strain import draw_strain
from stm_experiments.simulator.surface.surface import Crystal, Surface, orientations_of


def draw_flat_surface(
    lattice: FlatLattice,
    crystal: Crystal,
    generators: list[torch.Generator],
    seeds: list[int],
    noise: Noise,
    preset: Preset,
    size: int,
    device: torch.device,
) -> Surface:
    """Place the atoms, displace them, spoil some, draw them all and lay the waves on them.

    Args:
        lattice: The lattice.
        crystal: The crystals; their lattice is the same.
        generators: One per image, for the atoms' displacements.
        seeds: The images' seeds, for all else.
        noise: Strengths; those of the sample and the defects are used.
        preset: The simulator's version.
        size: Of the surface, px.
        device: Where the heights are computed.

    Raises:
        ValueError: If two domains are to have a fault.
    """
    maps: dict[str, Tensor] = {}
    facts: dict[str, Tensor] = {}
    fault = None
    if lattice.fault:
        if crystal.second is not None:
            raise ValueError(f"lattice {lattice.name} has a fault: in one domain only")
        fault = _draw_fault(lattice, crystal, seeds, size)
        facts |= {"fault": fault.present, "fault_strain": fault.strain}
        maps["beyond_fault"] = beyond_fault(
            lattice, crystal.orientation, crystal.offset, size, fault
        )
    atoms, site = place_sites(lattice, crystal.orientation, crystal.offset, size, fault)
    domain = None
    if crystal.second is not None:
        domain = domain_map(crystal.boundary, lattice, size)
        other = place_sites(lattice, crystal.second, crystal.offset, size)
        first, second = (x._replace(depth=y.double()) for x, y in ((atoms, site), other))
        atoms = join_domains(first, second, domain, lattice)
        site = atoms.depth.long()
    columns = perfect(lattice, atoms, site)
    if noise.sample != SampleNoise(strain=noise.sample.strain):
        jitter, widths = draw_sample(
            columns.present.sum(1), generators, noise.sample, lattice, preset
        )
        columns = columns._replace(
            u=columns.u + jitter[0],
            v=columns.v + jitter[1],
            sigma=columns.sigma * (1 + widths / math.sqrt(2)).clamp(min=0.1).sqrt(),
        )
    displaced = None
    if not is_off(noise.sample.strain):
        strain = draw_strain(noise.sample.strain, seeds)
        shift = strain.at(columns.u, columns.v)
        columns = columns._replace(u=columns.u + shift[0], v=columns.v + shift[1])
        displaced = maps["displaced"] = strain.field(size)
        facts["strain"] = strain.strength
    if not noise.defects.none:
        orientations = orientations_of(crystal, atoms, domain)
        columns = with_defects(columns, lattice, noise.defects, seeds, orientations)
    facts["site"] = columns.site.to(torch.int8)

    waves = []
    if lattice.waves:
        crystals = [x for x in (crystal.orientation, crystal.second) if x is not None]
        waves = [draw_waves(lattice, x, crystal.offset, seeds, size) for x in crystals]
        facts |= {"wave": waves[0].amplitude, "wave_vector": waves[0].vector,
                  "wave_phase": waves[0].phase}  # fmt: skip
    shown = None if domain is None else crop_map(domain, size)
    flat, labels = _drawn(lattice, columns, waves, shown, displaced, size, device)
    if lattice.waves:
        maps["wave_domain"] = labels
    terrace, step_height = None, torch.zeros(len(seeds), dtype=torch.float64)
    if not is_off(noise.defects.step):
        step_height = draw_strength(noise.defects.step, seeds, "step", noise.defects.step_chance)
        terrace = draw_step(seeds, size, step_height > 0).profile(size)
    u, v = columns.u + size // 2, columns.v + size // 2
    return Surface(
        flat=flat,
        atoms=Atoms(u, v, torch.zeros_like(u), columns.present),
        kind=None if noise.defects.none else columns.kind,
        domain=shown,
        terrace=terrace,
        step_height=step_height,
        substitute=columns.substitute if lattice.substitutes else None,
        maps=maps,
        facts=facts,
    )


def render_flat(lattice: FlatLattice, orientation: Tensor, offset: Tensor, size: int) -> Tensor:
    """Perfect crystals with one wave of the middle strength, crests on the lattice's origin.

    Args:
        lattice: The lattice.
        orientation: [N, 3].
        offset: Origin of the lattice as fractions of a and b, [N, 3].
        size: Image height and width, px.

    Returns:
        Heights, [N, 1, size, size] float32.
    """
    columns = perfect(lattice, *place_sites(lattice, orientation, offset, size))
    waves = []
    if lattice.waves:
        amplitude = torch.full((len(offset),), sum(bounds(lattice.wave)) / 2)
        origin = offset[:, None, :2].remainder(1)
        waves = [waves_at(lattice, orientation, origin, torch.zeros_like(origin), amplitude)]
    return _drawn(lattice, columns, waves, None, None, size, torch.device("cpu"))[0]


def _draw_fault(lattice: FlatLattice, crystal: Crystal, seeds: list[int], size: int) -> Fault:
    """Faults through the middle half of the images that have one."""
    draws = uniforms(seeds, "fault", 2)
    place = (draws[:, 0] - 0.5) * 0.5 * size  # of the fault along its normal, px
    row = place * reciprocal(lattice, crystal.orientation)[:, :, 1].norm(dim=1)
    strain = draw_strength(lattice.fault_strain, seeds, "fault strain")
    present = draws[:, 1] < lattice.fault
    return Fault(present, (row - crystal.offset[:, 1].remainder(1)).round(), strain * present)


def _drawn(
    lattice: FlatLattice,
    columns: Columns,
    waves: list[Waves],
    domain: Tensor | None,
    displaced: Tensor | None,
    size: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Heights of the surfaces, [N, 1, size, size], and the waves' domains, [N, size, size] int8.

    Args:
        lattice: The lattice.
        columns: The atoms.
        waves: The waves of the only crystal, or of the first and the second.
        domain: The crystals' domains; None for one, [N, size, size].
        displaced: Displacement of the crystal at each px, [N, size, size, 2]; None for none.
        size: Image height and width, px.
        device: Where it is computed.
    """
    height = columns.height
    fields = torch.zeros(len(height), size, size, device=device)
    labels = torch.zeros(len(height), size, size, dtype=torch.int8)
    row, column = (
        (x + size // 2).round().long().clamp(0, size - 1) for x in (columns.u, columns.v)
    )
    if waves:
        factor = torch.empty_like(height)
        for i in range(len(height)):
            moved = None if displaced is None else displaced[i]
            field, labels[i] = waves[0].field(i, size, moved, device)
            if len(waves) > 1 and domain is not None:
                second, other = waves[1].field(i, size, moved, device)
                first = avg_pool2d(
                    (0.5 + 0.5 * domain[i].to(field))[None, None], 9, 1, 4,
                    count_include_pad=False,
                )[0, 0]  # fmt: skip
                field = first * field + (1 - first) * second
                labels[i] = labels[i].where(domain[i] > 0, other)
            fields[i] = float(waves[0].amplitude[i]) * field
            factor[i] = fields[i, row[i].to(device), column[i].to(device)].to("cpu", torch.float64)
        height = height * (1 + lattice.modulation * factor).clamp(min=0.05)
    # The windows are wide enough for the widest atom without jitter.
    width = 2 * math.ceil(cut_off(lattice)) + 2
    first_u, first_v = (
        x.floor().long() + (size // 2 - (width - 1) // 2) for x in (columns.u, columns.v)
    )
    centres = Centres(columns.u + size // 2, columns.v + size // 2, first_u, first_v)
    narrow = (0.5 / columns.sigma.square()).to(device, torch.float32)
    amplitude = (HEIGHT * height).to(device, torch.float32)
    flat = draw_gaussians(centres, amplitude, narrow, columns.present, width, 1, size)
    if waves:
        least = sum(waves[0].relative)  # no height is negative: shot noise takes its root
        c = corrugation_of_cell(lattice)
        for i, amplitude_of in enumerate(waves[0].amplitude.tolist()):
            flat[i, 0] += c * (fields[i] + amplitude_of * least)
    return flat, labels
