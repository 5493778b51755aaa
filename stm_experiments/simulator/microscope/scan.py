"""What the scan adds line by line: the paper's striation, 1/f noise, hum, rows, scars, tilt, lag.

A line is scanned there and back, px by px: time runs along axis 1 and then from line to line. The
forward trace is the first half of a line, the backward trace the second half, mirrored.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.lattices.registry import AnyLattice
from stm_experiments.simulator.microscope.tip import trace_time
from stm_experiments.simulator.strengths import (
    Strength,
    bounds,
    check_strengths,
    draw_strength,
    is_off,
    normals,
    uniforms,
)


@dataclass(frozen=True)
class ScanNoise:
    """Strengths of what a scan adds. c is the corrugation, the 5-95 % range of the clean lattice.

    Attributes:
        striation: Peak-to-peak height of the stripes, in the topograph's unit (the paper: 0.3).
        striation_kappa: Wave number of the stripes, rad per px (the published sc images: pi/3).
        striation_turned: Stripes in any direction with the full wave number, instead of the paper's
            draw of two angles.
        pink: Noise of the spectrum 1/f^a along the acquisition time, root mean square, c.
        pink_exponent: The exponent a.
        row_offset: Height of each line: white noise of this standard deviation and a random walk
            with a quarter of it per step, c.
        scars: Share of the lines in which a scar begins.
        scar_height: Height of a scar, up or down, c.
        hum: Amplitude of the mains hum, c.
        hum_periods: Its periods in a line of the image (half of what passes there and back).
        tilt: Height of a plane across the image, c; any direction.
        bow: Height of a parabola along each axis from the middle to the edge, up or down, c.
        lag: Length over which the feedback follows, px: a first-order filter along the line.
        chance: Share of the images that have each of these artefacts, independently.
        striation_chance: Share of the images that have stripes.
    """

    striation: Strength = 0.0
    striation_kappa: Strength = math.pi / 6
    striation_turned: bool = False
    pink: Strength = 0.0
    pink_exponent: Strength = (0.7, 2.2)
    row_offset: Strength = 0.0
    scars: Strength = 0.0
    scar_height: Strength = (0.25, 1.0)
    hum: Strength = 0.0
    hum_periods: Strength = (3.0, 50.0)
    tilt: Strength = 0.0
    bow: Strength = 0.0
    lag: Strength = 0.0
    chance: float = 1.0
    striation_chance: float = 1.0

    def __post_init__(self) -> None:
        check_strengths(self, ("chance", "striation_chance"))


def add_scan(
    image: Tensor,
    corrugation: Tensor,
    noise: ScanNoise,
    seeds: list[int],
    truth: dict[str, Tensor],
    backward: bool = False,
) -> Tensor:
    """Add all but the striation to a trace, then let the feedback lag.

    Args:
        image: What the tip sees, [N, 1, H, H].
        corrugation: c of each image, [N] float64.
        noise: Strengths.
        seeds: The images' seeds.
        truth: Gains each strength as drawn (c, px), [N], ``row_offset`` and ``scar``.
        backward: Whether this is the backward trace.

    Returns:
        The trace, [N, 1, H, H].
    """
    size, trace = image.shape[-1], "backward" if backward else "forward"
    strengths = {
        name: draw_strength(getattr(noise, name), seeds, name, noise.chance)
        for name in ("pink", "row_offset", "scars", "hum", "tilt", "bow", "lag")
        if not is_off(getattr(noise, name))
    }
    if not strengths:
        return image
    truth |= strengths
    added = torch.zeros(image.shape[0], size, size)
    units = {name: (x * corrugation)[:, None, None] for name, x in strengths.items()}
    if "pink" in strengths:
        exponent = draw_strength(noise.pink_exponent, seeds, "pink exponent")
        truth["pink_exponent"] = exponent
        for i in strengths["pink"].nonzero()[:, 0].tolist():
            series = pink_series(float(exponent[i]), size, image_stream(seeds[i], "pink noise"))
            added[i] += float(units["pink"][i]) * (series[:, 1] if backward else series[:, 0])
    if "hum" in strengths:
        periods = draw_strength(noise.hum_periods, seeds, "hum periods")
        phase = 2 * math.pi * uniforms(seeds, "hum phase", 1)
        truth |= {"hum_periods": periods, "hum_phase": phase[:, 0]}
        added += units["hum"].float() * hum(periods, phase, size, backward)
    if "row_offset" in strengths:
        rows = row_offsets(size, seeds, trace)
        truth[f"rows_{trace}"] = strengths["row_offset"][:, None] * corrugation[:, None] * rows
        added += (units["row_offset"] * rows[..., None]).float()
    if "scars" in strengths:
        heights, mask = scars(strengths["scars"], noise, size, seeds, trace)
        added += heights * corrugation.float()[:, None, None]
        truth[f"scar_{trace}"] = mask
    if "tilt" in strengths or "bow" in strengths:
        added += slopes(units.get("tilt"), units.get("bow"), size, seeds)
    image = image + added[:, None].to(image.device)
    if "lag" in strengths:
        return lagged(image, strengths["lag"], bounds(noise.lag)[1], backward)
    return image


def pink_series(exponent: float, size: int, generator: torch.Generator) -> Tensor:
    """Noise of the spectrum f^-exponent along the time of a scan, mean 0 and deviation 1.

    Returns:
        Forward and backward traces, [size, 2, size] float32.
    """
    total = 2 * size * size
    length = 4096 * math.ceil(total / 4096)  # a length that Fourier transforms like
    frequency = torch.arange(1, length // 2 + 1, dtype=torch.float32)
    spectrum = torch.zeros(length // 2 + 1, dtype=torch.complex64)
    draws = torch.randn(length // 2, 2, generator=generator)
    spectrum[1:] = torch.view_as_complex(draws) * frequency ** (-exponent / 2)
    series = torch.fft.irfft(spectrum, length)[:total]
    series = (series - series.mean()) / series.std()
    traces = series.view(size, 2, size)
    return torch.stack((traces[:, 0], traces[:, 1].flip(-1)), 1)


def hum(periods: Tensor, phase: Tensor, size: int, backward: bool) -> Tensor:
    """Cosines along the acquisition time, so many periods in half a line, [N, H, H] float32."""
    omega = 4 * math.pi * periods[:, None]  # rad per line there and back
    time = trace_time(size, backward)
    down, along = omega * time[:, 0] + phase, omega * (time[0] - time[0, 0])
    # cos(a + b) = cos a cos b - sin a sin b: no cosine per pixel.
    down, along = down[:, :, None], along[:, None, :]
    return (down.cos().float() * along.cos().float()) - (down.sin().float() * along.sin().float())


def row_offsets(size: int, seeds: list[int], trace: str) -> Tensor:
    """Heights of the lines at strength 1: white noise and a random walk, [N, size] float64."""
    walk = normals(seeds, "walk of the rows", size).cumsum(1) / 4
    return normals(seeds, f"rows {trace}", size) + walk - walk.mean(1, keepdim=True)


def scars(
    share: Tensor, noise: ScanNoise, size: int, seeds: list[int], trace: str
) -> tuple[Tensor, Tensor]:
    """Scars: runs of 16 px to 0.8 of the width on 1 to 4 lines, at another height.

    Args:
        share: Of the lines in which a scar begins, [N].
        noise: For the heights.
        size: Image height and width, px.
        seeds: The images' seeds.
        trace: ``forward`` or ``backward``: a scar is seen in one of them only.

    Returns:
        Heights, c, [N, size, size] float32, and where there is a scar, the same bool.
    """
    start, left, length, lines, height, sign = (
        uniforms(seeds, f"scars {trace}", 6 * size).view(len(seeds), 6, size).unbind(1)
    )
    low, high = bounds(noise.scar_height)
    height = (low + (high - low) * height) * torch.where(sign < 0.5, 1, -1)
    shortest, longest = min(16.0, 0.5 * size), 0.8 * size
    length = shortest + (longest - shortest) * length
    first = (left * (size - length)).floor()
    heights = torch.zeros(len(seeds), size, size)
    for i, row in (start < share[:, None]).nonzero().tolist():
        begin, count = int(first[i, row]), 1 + int(4 * lines[i, row])
        heights[i, row : row + count, begin : begin + int(length[i, row])] = height[i, row]
    return heights, heights != 0


def slopes(tilt: Tensor | None, bow: Tensor | None, size: int, seeds: list[int]) -> Tensor:
    """A plane of that height across the image and a parabola along each axis, [N, H, H] float32."""
    angle, bent = uniforms(seeds, "slopes", 3)[:, :, None, None].split((1, 2), 1)
    angle = 2 * math.pi * angle[:, 0]
    x = torch.linspace(-1, 1, size, dtype=torch.float64)
    down, across = torch.zeros(len(seeds), size, 1), torch.zeros(len(seeds), 1, size)
    if tilt is not None:
        down += 0.5 * tilt * angle.cos() * x[:, None]
        across += 0.5 * tilt * angle.sin() * x
    if bow is not None:
        bent = 2 * bent - 1
        down += bow * bent[:, 0] * x[:, None] ** 2
        across += bow * bent[:, 1] * x**2
    return down + across


def lagged(image: Tensor, length: Tensor, longest: float, backward: bool) -> Tensor:
    """A first-order filter along each line, in the direction of the trace.

    Args:
        image: [N, 1, H, W].
        length: Over which a step is followed to 1 - 1/e, px, [N]; 0 leaves an image as it is.
        longest: No length is longer, px.
        backward: Whether the tip moved towards lower columns.
    """
    late = length > 0
    if not late.any():
        return image
    factor = torch.exp(-1 / length[late]).to(image)[:, None, None, None]
    part = image[late.to(image.device)]
    part = part.flip(-1) if backward else part.clone()
    start = part[..., :1].clone()
    part -= start  # as if the line had been level before its first px
    part *= 1 - factor
    # y_i = x_i + f y_(i-1), by doubling: after each pass the sum reaches twice as far.
    reach = 1
    while reach < min(part.shape[-1], 20 * longest):
        longer = part.clone()
        longer[..., reach:].addcmul_(part[..., :-reach], factor**reach)
        part, reach = longer, 2 * reach
    part += start
    image = image.clone()
    image[late.to(image.device)] = part.flip(-1) if backward else part
    return image


def stripes(uniform: Tensor, noise: ScanNoise, lattice: AnyLattice, size: int, seeds: list[int],
            truth: dict[str, Tensor]) -> Tensor:  # fmt: skip
    """The striation of each image, of the paper's direction, or of any and a drawn strength.

    Args:
        uniform: The paper's two draws per image, [N, 2].
        noise: Strengths.
        lattice: The lattice, for the paper's s.
        size: Image height and width, px.
        seeds: The images' seeds.
        truth: Gains ``striation`` and ``striation_kappa`` (rad per px) as drawn, [N].

    Returns:
        The stripes, [N, 1, size, size] float32 on the device of ``uniform``.
    """
    plain = not isinstance(noise.striation, tuple) and not isinstance(noise.striation_kappa, tuple)
    if plain and noise.striation_chance == 1 and not noise.striation_turned:
        return striation(uniform, noise, lattice, size)
    height = draw_strength(noise.striation, seeds, "striation", noise.striation_chance)
    kappa = draw_strength(noise.striation_kappa, seeds, "striation kappa")
    truth |= {"striation": height, "striation_kappa": kappa}
    if noise.striation_turned:
        # The same angle twice makes (-sin t, cos t) a unit vector.
        s = lattice.spread**2 / (64 * lattice.k)
        turn = uniforms(seeds, "striation direction", 1).to(uniform)
        uniform = (2 * s * turn).expand(-1, 2)
    fields = []
    for i, (each, number) in enumerate(zip(height.tolist(), kappa.tolist(), strict=True)):
        own = replace(noise, striation=each, striation_kappa=number)
        fields.append(striation(uniform[i : i + 1], own, lattice, size))
    return torch.cat(fields)


def striation(uniform: Tensor, noise: ScanNoise, lattice: AnyLattice, size: int) -> Tensor:
    """Stripes S/2 (cos(kappa (-r1 sin t1 + r0 cos t2)) + 1/2) across the image.

    t1, t2 are pi/s times two independent uniforms, with s = spread^2 / (64 k); r0, r1 are pixel
    indices along axes 0 and 1 minus (K/2 - 22), K = size - 1 + 6 spread the programs' canvas.

    Args:
        uniform: Two draws per image in [0, 1), [N, 2].
        noise: Strength S and wave number kappa, one number each.
        lattice: The lattice, for s.
        size: Image height and width, px.

    Returns:
        The stripes, [N, 1, size, size] float32 on the device of ``uniform``.
    """
    height, kappa = bounds(noise.striation)[0], bounds(noise.striation_kappa)[0]
    s = lattice.spread**2 / (64 * lattice.k)
    t1, t2 = (math.pi / s * uniform.to(torch.float64)).unsqueeze(2).unbind(1)
    centre = size // 2 + 3 * lattice.spread - 22
    r = torch.arange(size, dtype=torch.float64, device=uniform.device) - centre
    a, b = kappa * torch.cos(t2) * r, kappa * torch.sin(t1) * r
    # cos(a - b) = cos a cos b + sin a sin b: no cosine per pixel.
    down = torch.stack((torch.cos(a), torch.sin(a), torch.full_like(a, 0.5)), 2)
    across = torch.stack((torch.cos(b), torch.sin(b), torch.ones_like(b)), 1)
    return torch.bmm((0.5 * height * down).float(), across.float()).unsqueeze(1)
