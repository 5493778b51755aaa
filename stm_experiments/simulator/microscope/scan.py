"""Effects of the scan, line by line: striation, 1/f noise, hum, offset rows, scars, tilt, lag.

A line is scanned there and back, px by px: time runs along axis 1 and then from line to line. The
forward trace is the first half of a line, the backward trace the second half, mirrored.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.core.seeds import image_stream
from stm_experiments.simulator.lattices.registry import AnyLattice
from stm_experiments.simulator.microscope.tip import trace_time
from stm_experiments.simulator.scene import Draws, Recorded, Scene, Trace
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
        striation: Peak-to-peak height of the paper's plane wave, in the topograph's unit (the
            paper: 0.3).
        striation_kappa: Its wave number, rad per px (the published sc images: pi/3).
        striation_turned: A wave in any direction with the full wave number, instead of the paper's
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
        striation_chance: Share of the images that have a striation.
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
        check_strengths(self, single=("chance", "striation_chance"))

    @property
    def has_fixed_striation(self) -> bool:
        """Whether all images have a striation of one strength, in a direction as in the paper."""
        varies = isinstance(self.striation, tuple) or isinstance(self.striation_kappa, tuple)
        return not varies and self.striation_chance == 1 and not self.striation_turned

    def draw(self, scene: Scene) -> Draws:
        """Draw the strengths, and the phases of what is a wave; see ``Effect``."""
        seeds = scene.seeds
        strengths = {"pink": self.pink, "row_offset": self.row_offset, "scars": self.scars,
                     "hum": self.hum, "tilt": self.tilt, "bow": self.bow,
                     "lag": self.lag}  # fmt: skip
        draws = {
            name: draw_strength(strength, seeds, name, self.chance)
            for name, strength in strengths.items()
            if not is_off(strength)
        }
        if "pink" in draws:
            draws["pink_exponent"] = draw_strength(self.pink_exponent, seeds, "pink exponent")
        if "hum" in draws:
            draws["hum_periods"] = draw_strength(self.hum_periods, seeds, "hum periods")
            draws["hum_phase"] = 2 * math.pi * uniforms(seeds, "hum phase", 1)[:, 0]
        if not is_off(self.striation):
            chance = self.striation_chance
            draws["striation"] = draw_strength(self.striation, seeds, "striation", chance)
            draws["striation_kappa"] = draw_strength(self.striation_kappa, seeds, "striation kappa")
        return draws

    def apply(self, image: Tensor, draws: Draws, scene: Scene, trace: Trace) -> Recorded:
        """Add the striation and all that follows the time, and lag behind; see ``Effect``."""
        truth = dict(draws)
        if "striation" in draws:
            image = image + striation(
                self._striation_angles(scene).to(image.device),
                draws["striation"].to(image.device),
                draws["striation_kappa"].to(image.device),
                striation_centre(scene.lattice, scene.size),
                scene.size,
            )
            if self.has_fixed_striation:  # no image differs from the others: nothing to tell
                del truth["striation"], truth["striation_kappa"]
        if draws.keys() - {"striation", "striation_kappa"}:
            added = self._added(draws, scene, trace)
            image = image + added.image.to(image.device)
            truth |= added.truth
        if "lag" in draws:
            image = lagged(image, draws["lag"], bounds(self.lag)[1], trace)
        return Recorded(image, truth)

    def _added(self, draws: Draws, scene: Scene, trace: Trace) -> Recorded:
        """Compute what is added along the acquisition time, and where lines and scars are."""
        size, seeds, c = scene.size, scene.seeds, scene.corrugation
        truth = {}
        added = torch.zeros(len(seeds), size, size)
        heights = {name: (draws[name] * c)[:, None, None]
                   for name in ("pink", "hum", "row_offset", "tilt", "bow")
                   if name in draws}  # fmt: skip
        if "pink" in draws:
            for i in draws["pink"].nonzero()[:, 0].tolist():
                stream = image_stream(seeds[i], "pink noise")
                series = pink_series(float(draws["pink_exponent"][i]), size, stream)
                added[i] += float(heights["pink"][i]) * series[trace]
        if "hum" in draws:
            wave = hum(draws["hum_periods"], draws["hum_phase"], size, trace)
            added += heights["hum"].float() * wave
        if "row_offset" in draws:
            rows = row_offsets(size, seeds, trace)
            truth[f"rows_{trace.value}"] = draws["row_offset"][:, None] * c[:, None] * rows
            added += (heights["row_offset"] * rows[..., None]).float()
        if "scars" in draws:
            of_scars = scars(draws["scars"], self.scar_height, size, seeds, trace)
            truth[f"scar_{trace.value}"] = of_scars != 0
            added += of_scars * c.float()[:, None, None]
        if "tilt" in draws or "bow" in draws:
            added += slopes(heights.get("tilt"), heights.get("bow"), size, seeds)
        return Recorded(added[:, None], truth)

    def _striation_angles(self, scene: Scene) -> Tensor:
        """Return the two angles of each striation, rad, [N, 2]."""
        s = scene.lattice.spread**2 / (64 * scene.lattice.k)
        uniform = scene.striation_draws
        if self.striation_turned:
            # The same angle twice makes (-sin t, cos t) a unit vector.
            uniform = (2 * s * uniforms(scene.seeds, "striation direction", 1)).expand(-1, 2)
        return math.pi / s * uniform


def striation_centre(lattice: AnyLattice, size: int) -> float:
    """Return the pixel at which the paper's striations have a crest, along both axes."""
    return size // 2 + 3 * lattice.spread - 22


def striation(angles: Tensor, height: Tensor, kappa: Tensor, centre: float, size: int) -> Tensor:
    """Compute plane waves S/2 (cos(kappa (-r1 sin t1 + r0 cos t2)) + 1/2).

    In the paper t1, t2 are pi/s times two independent uniforms, with s = spread^2 / (64 k); r0, r1
    are pixel indices along axes 0 and 1 minus (K/2 - 22), K = size - 1 + 6 spread the programs'
    canvas.

    Args:
        angles: t1 and t2, rad, [N, 2] float64.
        height: S, [N] float64.
        kappa: rad per px, [N] float64.
        centre: The pixel at which r0 and r1 are 0.
        size: Image height and width, px.

    Returns:
        The waves, [N, 1, size, size] float32 on the device of ``angles``.
    """
    t1, t2 = angles.unsqueeze(2).unbind(1)
    kappa, amplitude = kappa[:, None], (0.5 * height)[:, None, None]
    r = torch.arange(size, dtype=torch.float64, device=angles.device) - centre
    a, b = kappa * torch.cos(t2) * r, kappa * torch.sin(t1) * r
    # cos(a - b) = cos a cos b + sin a sin b: no cosine per pixel.
    down = torch.stack((torch.cos(a), torch.sin(a), torch.full_like(a, 0.5)), 2)
    across = torch.stack((torch.cos(b), torch.sin(b), torch.ones_like(b)), 1)
    return torch.bmm((amplitude * down).float(), across.float()).unsqueeze(1)


def pink_series(exponent: float, size: int, generator: torch.Generator) -> dict[Trace, Tensor]:
    """Draw noise of the spectrum f^-exponent along the time of a scan.

    Returns:
        The traces, [size, size] float32 each; together of mean 0 and standard deviation 1.
    """
    total = 2 * size * size
    length = 4096 * math.ceil(total / 4096)  # a length that Fourier transforms are fast for
    frequency = torch.arange(1, length // 2 + 1, dtype=torch.float32)
    spectrum = torch.zeros(length // 2 + 1, dtype=torch.complex64)
    draws = torch.randn(length // 2, 2, generator=generator)
    spectrum[1:] = torch.view_as_complex(draws) * frequency ** (-exponent / 2)
    series = torch.fft.irfft(spectrum, length)[:total]
    series = (series - series.mean()) / series.std()
    forward, backward = series.view(size, 2, size).unbind(1)
    return {Trace.FORWARD: forward, Trace.BACKWARD: backward.flip(-1)}


def hum(periods: Tensor, phase: Tensor, size: int, trace: Trace) -> Tensor:
    """Compute cosines along the acquisition time, [N, H, H] float32.

    Args:
        periods: In half a line there and back, [N].
        phase: rad, [N].
        size: Image height and width, px.
        trace: The direction of the scan.
    """
    omega = 4 * math.pi * periods[:, None]  # rad per line there and back
    time = trace_time(size, trace)
    down, along = omega * time[:, 0] + phase[:, None], omega * (time[0] - time[0, 0])
    # cos(a + b) = cos a cos b - sin a sin b: no cosine per pixel.
    down, along = down[:, :, None], along[:, None, :]
    return (down.cos().float() * along.cos().float()) - (down.sin().float() * along.sin().float())


def row_offsets(size: int, seeds: list[int], trace: Trace) -> Tensor:
    """Draw heights of the lines at strength 1: white noise and a random walk, [N, size] float64."""
    walk = normals(seeds, "walk of the rows", size).cumsum(1) / 4
    return normals(seeds, f"rows {trace.value}", size) + walk - walk.mean(1, keepdim=True)


def scars(share: Tensor, strength: Strength, size: int, seeds: list[int], trace: Trace) -> Tensor:
    """Draw scars: runs of 16 px to 0.8 of the width on 1 to 4 lines, at another height.

    Args:
        share: Of the lines in which a scar begins, [N].
        strength: Their height, c.
        size: Image height and width, px.
        seeds: The images' seeds.
        trace: The direction of the scan: a scar is recorded in one of them only.

    Returns:
        Heights, c, [N, size, size] float32, 0 where there is no scar.
    """
    start, position, length, lines, height, sign = (
        uniforms(seeds, f"scars {trace.value}", 6 * size).view(len(seeds), 6, size).unbind(1)
    )
    low, high = bounds(strength)
    height = (low + (high - low) * height) * torch.where(sign < 0.5, 1, -1)
    shortest, longest = min(16.0, 0.5 * size), 0.8 * size
    length = shortest + (longest - shortest) * length
    first = (position * (size - length)).floor()
    heights = torch.zeros(len(seeds), size, size)
    for i, row in (start < share[:, None]).nonzero().tolist():
        begin, count = int(first[i, row]), 1 + int(4 * lines[i, row])
        heights[i, row : row + count, begin : begin + int(length[i, row])] = height[i, row]
    return heights


def slopes(tilt: Tensor | None, bow: Tensor | None, size: int, seeds: list[int]) -> Tensor:
    """Draw a plane and a parabola along each axis, [N, H, H] float32.

    Args:
        tilt: Height of the plane across the image, [N, 1, 1]; None for none.
        bow: Height of the parabolas from the middle to the edge, [N, 1, 1]; None for none.
        size: Image height and width, px.
        seeds: The images' seeds.
    """
    angle, bend = torch.split(uniforms(seeds, "slopes", 3)[:, :, None, None], [1, 2], 1)
    angle = 2 * math.pi * angle[:, 0]
    x = torch.linspace(-1, 1, size, dtype=torch.float64)
    down, across = torch.zeros(len(seeds), size, 1), torch.zeros(len(seeds), 1, size)
    if tilt is not None:
        down += 0.5 * tilt * angle.cos() * x[:, None]
        across += 0.5 * tilt * angle.sin() * x
    if bow is not None:
        bend = 2 * bend - 1
        down += bow * bend[:, 0] * x[:, None] ** 2
        across += bow * bend[:, 1] * x**2
    return down + across


def lagged(image: Tensor, length: Tensor, longest: float, trace: Trace) -> Tensor:
    """Filter each line by a first-order filter in the direction of the trace.

    Args:
        image: [N, 1, H, W].
        length: Over which a step is followed to 1 - 1/e, px, [N]; 0 leaves an image as it is.
        longest: Upper bound of the lengths, px.
        trace: The direction of the scan.
    """
    late = length > 0
    if not late.any():
        return image
    backward = trace is Trace.BACKWARD
    factor = torch.exp(-1 / length[late]).to(image)[:, None, None, None]
    part = image[late.to(image.device)]
    part = part.flip(-1) if backward else part.clone()
    start = part[..., :1].clone()
    part -= start  # as if the line had been level before its first px
    part *= 1 - factor
    # y_i = x_i + f y_(i-1), by doubling: each pass doubles the reach of the sum.
    reach = 1
    while reach < min(part.shape[-1], 20 * longest):
        longer = part.clone()
        longer[..., reach:].addcmul_(part[..., :-reach], factor**reach)
        part, reach = longer, 2 * reach
    part += start
    image = image.clone()
    image[late.to(image.device)] = part.flip(-1) if backward else part
    return image
