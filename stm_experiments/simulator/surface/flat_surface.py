"""Surfaces of flat crystals: atoms, defects and charge-density waves, drawn as Gaussians."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from stm_experiments.simulator.lattices.atoms import Atoms, left_pack
from stm_experiments.simulator.lattices.flat import (
    HEIGHT,
    Fault,
    FlatLattice,
    PlacedSites,
    beyond_fault,
    corrugation_of_cell,
    largest_radius,
    place_sites,
    reciprocal_basis,
)
from stm_experiments.simulator.rendering.render import Centres, draw_gaussians
from stm_experiments.simulator.strengths import bounds, draw_strength, is_off, uniforms
from stm_experiments.simulator.surface.charge_density_waves import (
    ImageField,
    Waves,
    draw_waves,
    waves_at,
)
from stm_experiments.simulator.surface.columns import Columns, perfect_columns, with_defects
from stm_experiments.simulator.surface.domains import (
    crop_map,
    domain_map,
    in_domain,
    orientation_of_atoms,
)
from stm_experiments.simulator.surface.steps import draw_step
from stm_experiments.simulator.surface.strain import draw_strain
from stm_experiments.simulator.surface.surface import Surface, SurfacePlan, Terraces

_DOMAIN_WALL = 9  # px, over which two domains' waves are blended


class WaveField(NamedTuple):
    """Charge-density waves of N images.

    Attributes:
        height: Sum of the waves, corrugations, [N, S, S] float32.
        label: Number of each px's domain, [N, S, S] int8, on the CPU.
        lift: What makes no height negative, because shot noise takes its root, corrugations, [N].
    """

    height: Tensor
    label: Tensor
    lift: Tensor


def draw_flat_surface(lattice: FlatLattice, plan: SurfacePlan) -> Surface:
    """Draw the surfaces of flat crystals and their waves; see ``SurfacePlan``.

    Raises:
        ValueError: If two domains are to have a fault.
    """
    crystal, seeds, size = plan.crystal, plan.seeds, plan.size
    maps: dict[str, Tensor] = {}
    facts: dict[str, Tensor] = {}
    fault = None
    if lattice.fault:
        if crystal.second is not None:
            raise ValueError(f"lattice {lattice.name} has a fault: in one domain only")
        fault = _draw_fault(lattice, plan)
        facts |= {"fault": fault.present, "fault_strain": fault.strain}
        maps["beyond_fault"] = beyond_fault(
            lattice, crystal.orientation, crystal.offset, size, fault
        )
    domain = None
    if crystal.second is not None:
        domain = domain_map(crystal.boundary, lattice, size)
    placed = _place(lattice, plan, domain, fault)
    columns = _jittered(perfect_columns(lattice, placed), lattice, plan)
    if not is_off(plan.sample.strain):
        strain = draw_strain(plan.sample.strain, seeds)
        shift = strain.at(columns.u, columns.v)
        columns = columns._replace(u=columns.u + shift[0], v=columns.v + shift[1])
        maps["displaced"], facts["strain"] = strain.field(size), strain.strength
    if plan.defects.has_point_defects:
        orientation = orientation_of_atoms(crystal, placed.atoms, domain, lattice)
        columns = with_defects(columns, lattice, plan.defects, seeds, orientation)
    facts["site"] = columns.site.to(torch.int8)

    visible_domain = None if domain is None else crop_map(domain, size)
    field = None
    if lattice.waves:
        waves = [
            draw_waves(lattice, orientation, crystal.offset, seeds, size)
            for orientation in (crystal.orientation, crystal.second)
            if orientation is not None
        ]
        facts |= {"wave": waves[0].amplitude, "wave_vector": waves[0].vector,
                  "wave_phase": waves[0].phase}  # fmt: skip
        field = _wave_field(waves, visible_domain, maps.get("displaced"), size, plan.device)
        maps["wave_domain"] = field.label
    flat = _drawn(lattice, columns, field, size, plan.device)
    terraces = None
    if not is_off(plan.defects.step):
        step = draw_step(plan.defects.draw_step_height(seeds), seeds, size)
        terraces = Terraces(step.profile(size), step.height)
    u, v = columns.u + size // 2, columns.v + size // 2
    return Surface(
        flat=flat,
        atoms=Atoms(u, v, torch.zeros_like(u), columns.present),
        code=columns.code if plan.defects.has_point_defects else None,
        substitute=columns.substitute if lattice.substitutes else None,
        domain=visible_domain,
        terraces=terraces,
        maps=maps,
        facts=facts,
    )


def render_flat(lattice: FlatLattice, orientation: Tensor, offset: Tensor, size: int) -> Tensor:
    """Draw perfect crystals with waves of the middle strength, crests on the lattice's origin.

    Args:
        lattice: The lattice.
        orientation: [N, 3].
        offset: Origin of the lattice as fractions of a and b, [N, 3].
        size: Image height and width, px.

    Returns:
        Heights, [N, 1, size, size] float32.
    """
    columns = perfect_columns(lattice, place_sites(lattice, orientation, offset, size))
    field, device = None, torch.device("cpu")
    if lattice.waves:
        amplitude = torch.full((len(offset),), sum(bounds(lattice.wave)) / 2)
        origin = offset[:, None, :2].remainder(1)
        waves = waves_at(lattice, orientation, origin, torch.zeros_like(origin), amplitude)
        field = _wave_field([waves], None, None, size, device)
    return _drawn(lattice, columns, field, size, device)


def _draw_fault(lattice: FlatLattice, plan: SurfacePlan) -> Fault:
    """Draw faults through the middle half of the images that have one."""
    crystal = plan.crystal
    draws = uniforms(plan.seeds, "fault", 2)
    position = (draws[:, 0] - 0.5) * 0.5 * plan.size  # of the fault along its normal, px
    row = position * reciprocal_basis(lattice, crystal.orientation)[:, :, 1].norm(dim=1)
    strain = draw_strength(lattice.fault_strain, plan.seeds, "fault strain")
    present = draws[:, 1] < lattice.fault
    return Fault(present, (row - crystal.offset[:, 1].remainder(1)).round(), strain * present)


def _place(
    lattice: FlatLattice, plan: SurfacePlan, domain: Tensor | None, fault: Fault | None
) -> PlacedSites:
    """Place the atoms of one or two domains."""
    crystal, size = plan.crystal, plan.size
    first = place_sites(lattice, crystal.orientation, crystal.offset, size, fault)
    if crystal.second is None or domain is None:
        return first
    second = place_sites(lattice, crystal.second, crystal.offset, size)
    keep = torch.cat(
        [
            in_domain(placed.atoms, domain, lattice, sign)
            for placed, sign in ((first, 1), (second, -1))
        ],
        1,
    )
    both = Atoms(*(torch.cat(pair, 1) for pair in zip(first.atoms, second.atoms, strict=True)))
    site = torch.cat((first.site, second.site), 1)
    *atoms, site = left_pack(keep, (*both._replace(present=keep), site))
    return PlacedSites(Atoms(*atoms), site)


def _jittered(columns: Columns, lattice: FlatLattice, plan: SurfacePlan) -> Columns:
    """Displace the atoms and vary their widths."""
    if not plan.sample.has_jitter:
        return columns
    count = columns.present.sum(1)
    displacement, width_change = plan.sample.draw(count, plan.generators, lattice, plan.preset)
    return columns._replace(
        u=columns.u + displacement[0],
        v=columns.v + displacement[1],
        sigma=columns.sigma * (1 + width_change / math.sqrt(2)).clamp(min=0.1).sqrt(),
    )


def _wave_field(
    waves: list[Waves],
    domain: Tensor | None,
    displaced: Tensor | None,
    size: int,
    device: torch.device,
) -> WaveField:
    """Sum up the waves of one crystal or of the crystals in two domains.

    Args:
        waves: The waves of the only crystal, or of the first and the second.
        domain: The crystals' domains; None for one, [N, size, size].
        displaced: Displacement of the crystal at each px, [N, size, size, 2]; None for none.
        size: Image height and width, px.
        device: Where it is computed.
    """
    images = len(waves[0].amplitude)
    heights = torch.zeros(images, size, size, device=device)
    labels = torch.zeros(images, size, size, dtype=torch.int8)
    for i in range(images):
        displacement = None if displaced is None else displaced[i]
        field = waves[0].field(i, size, displacement, device)
        if len(waves) > 1 and domain is not None:
            second = waves[1].field(i, size, displacement, device)
            field = _blended(field, second, domain[i])
        heights[i] = float(waves[0].amplitude[i]) * field.height
        labels[i] = field.label
    return WaveField(heights, labels, lift=waves[0].amplitude.double() * sum(waves[0].relative))


def _blended(first: ImageField, second: ImageField, domain: Tensor) -> ImageField:
    """Join the waves of two domains of an image, smoothly at their boundary."""
    share = avg_pool2d(
        (0.5 + 0.5 * domain.to(first.height))[None, None],
        kernel_size=_DOMAIN_WALL,
        stride=1,
        padding=_DOMAIN_WALL // 2,
        count_include_pad=False,
    )[0, 0]
    return ImageField(
        height=share * first.height + (1 - share) * second.height,
        label=first.label.where(domain > 0, second.label),
    )


def _drawn(
    lattice: FlatLattice,
    columns: Columns,
    field: WaveField | None,
    size: int,
    device: torch.device,
) -> Tensor:
    """Draw the surfaces, [N, 1, size, size].

    Args:
        lattice: The lattice.
        columns: The atoms.
        field: Their charge-density waves; None for none.
        size: Image height and width, px.
        device: Where it is computed.
    """
    height = columns.height
    if field is not None:
        row, column = (
            (x + size // 2).round().long().clamp(0, size - 1).to(device)
            for x in (columns.u, columns.v)
        )
        image = torch.arange(len(height), device=device)[:, None]
        wave = field.height[image, row, column].to("cpu", torch.float64)
        height = height * (1 + lattice.modulation * wave).clamp(min=0.05)
    # The windows are wide enough for the widest atom without jitter.
    width = 2 * math.ceil(largest_radius(lattice)) + 2
    first_u, first_v = (
        x.floor().long() + (size // 2 - (width - 1) // 2) for x in (columns.u, columns.v)
    )
    flat = draw_gaussians(
        Centres(columns.u + size // 2, columns.v + size // 2, first_u, first_v),
        (HEIGHT * height).to(device, torch.float32),
        (0.5 / columns.sigma.square()).to(device, torch.float32),
        columns.present,
        width=width,
        exponent=1,
        size=size,
    )
    if field is not None:
        corrugation = corrugation_of_cell(lattice)
        lift = field.lift.to(flat)[:, None, None]
        flat[:, 0] += corrugation * (field.height + lift)
    return flat
