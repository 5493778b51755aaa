"""Charge-density waves on flat crystals, and the domains between which their phases slip.

Wave j is A_j (1 + Re(psi_j(r) exp(2 pi i q_j r))). In domain d its order parameter psi_j is
exp(-2 pi i q_j t_d): the crystal's wave, displaced by t_d. Between two domains psi_j changes over
one lattice constant, and where the phases differ its magnitude dips, as at a real phase slip.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.flat import FlatLattice, wave_vectors
from stm_experiments.simulator.strengths import draw_strength, uniforms


class ImageField(NamedTuple):
    """The waves of one image.

    Attributes:
        height: Sum over the waves of relative amplitude x cosine, [S, S] float32.
        label: Number of each px's domain, [S, S] int8, on the CPU.
    """

    height: Tensor
    label: Tensor


@dataclass(frozen=True)
class Waves:
    """The waves of N images, with J waves and at most D domains each.

    Attributes:
        vector: Wave vectors along image axes 0 and 1, 1/px, [N, J, 2].
        phase: Phase of each wave in each domain at pixel size // 2, rad, [N, D, J].
        points: A point in each domain; a px belongs to the domain of its nearest point. Px from
            pixel size // 2, infinite for domains that an image does not have, [N, D, 2].
        amplitude: A of a wave of the relative amplitude 1, corrugations, [N].
        relative: The waves' relative amplitudes.
        wall: Width of the walls between domains (from 12 to 88 %), px.
    """

    vector: Tensor
    phase: Tensor
    points: Tensor
    amplitude: Tensor
    relative: list[float]
    wall: float

    def field(
        self, image: int, size: int, displaced: Tensor | None, device: torch.device
    ) -> ImageField:
        """Sum up the waves of one image.

        Args:
            image: Number of the image.
            size: Image height and width, px.
            displaced: Displacement of the crystal at each px, [size, size, 2]; None for none.
            device: Where it is computed.
        """
        r = torch.arange(size, dtype=torch.float32, device=device) - size // 2
        domains = int(self.points[image, :, 0].isfinite().sum())
        phase = self.phase[image, :domains].T.to(r)
        orders = torch.stack((phase.cos(), phase.sin()), 1)  # real and minus imaginary, [J, 2, D]
        label = torch.zeros(size, size, dtype=torch.int8)
        if domains > 1:
            weights = self._weights(self.points[image, :domains].tolist(), r)
            heaviest = weights[0].clone()
            for domain in range(1, domains):  # argmax along the first axis is ten times slower
                label[(weights[domain] > heaviest).cpu()] = domain
                torch.maximum(heaviest, weights[domain], out=heaviest)
            orders = (orders.flatten(0, 1) @ weights.flatten(1)).view(-1, 2, size, size)
        else:
            orders = orders[..., None]
        field = torch.zeros(size, size, device=device)
        for vector, order, relative in zip(self.vector[image], orders, self.relative, strict=True):
            cos, sin = _cosine_and_sine((2 * math.pi * vector).tolist(), r, displaced)
            field.addcmul_(cos, order[0], value=relative)
            field.addcmul_(sin, order[1], value=-relative)
        return ImageField(field, label)

    def _weights(self, points: list[list[float]], r: Tensor) -> Tensor:
        """Weigh how much each px, at ``r`` along both axes, belongs to each domain, [D, S, S].

        A px is in a domain if it is on its side of the lines half-way to all other points.
        """
        weights = torch.ones(len(points), len(r), len(r), device=r.device)
        for d, first in enumerate(points):
            for e, second in enumerate(points[:d]):
                (a, b), length = [x - y for x, y in zip(first, second, strict=True)], 1e-3
                length += math.hypot(a, b)
                half = (first[0] ** 2 + first[1] ** 2 - second[0] ** 2 - second[1] ** 2) / 2
                steep = 4 / (length * self.wall)
                side = torch.sigmoid(((a * steep) * r)[:, None] + ((b * steep) * r - half * steep))
                weights[d] *= side
                weights[e] *= 1 - side
        return weights.div_(weights.sum(0).clamp(min=1e-9))


def _cosine_and_sine(
    wave: list[float], r: Tensor, displaced: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Take both of wave vector (rad/px) times the position of each px in the crystal, [S, S]."""
    a, b = wave
    if displaced is not None:
        phase = a * (r[:, None] - displaced[..., 0].to(r)) + b * (r - displaced[..., 1].to(r))
        return phase.cos(), phase.sin()
    # cos(a + b) = cos a cos b - sin a sin b: no cosine per pixel.
    down, across = (a * r)[:, None], (b * r)[None]
    cos = torch.addcmul(down.cos() * across.cos(), down.sin(), across.sin(), value=-1)
    return cos, torch.addcmul(down.sin() * across.cos(), down.cos(), across.sin())


def waves_at(lattice: FlatLattice, orientation: Tensor, origin: Tensor, points: Tensor,
             amplitude: Tensor) -> Waves:  # fmt: skip
    """Return waves whose crests lie at the points ``origin``.

    Args:
        lattice: The lattice.
        orientation: Of the crystals, [N, 3].
        origin: Of the waves in each domain as fractions of a and b, [N, D, 2].
        points: Of the domains; see ``Waves``, [N, D, 2].
        amplitude: Of the waves, corrugations, [N].
    """
    q = torch.tensor([wave.q for wave in lattice.waves], dtype=torch.float64)
    return Waves(
        vector=wave_vectors(lattice, orientation),
        phase=(-2 * math.pi * origin @ q.T).remainder(2 * math.pi),
        points=points,
        amplitude=amplitude,
        relative=[wave.amplitude for wave in lattice.waves],
        wall=lattice.spread,
    )


def draw_waves(
    lattice: FlatLattice, orientation: Tensor, offset: Tensor, seeds: list[int], size: int
) -> Waves:
    """Draw the waves of each image.

    Args:
        lattice: The lattice.
        orientation: Of the crystals, [N, 3].
        offset: Origin of the lattice as fractions of a and b, [N, 3].
        seeds: The images' seeds.
        size: Image height and width, px.
    """
    most = lattice.wave_domains
    draws = uniforms(seeds, "wave domains", 4 * most + 1)
    number = (1 + most * draws[:, :1]).floor()
    position, slip = torch.split(draws[:, 1:].view(-1, most, 4), 2, 2)
    # The crests of a commensurate wave lie on sites. Those of another wave lie anywhere: its wave
    # vector is no fraction of a* and b*, and up to 1000 lattice constants give any phase.
    slip = 1000 * slip
    if lattice.commensurate:
        slip = slip.floor()
    exists = torch.arange(most) < number
    return waves_at(
        lattice,
        orientation,
        offset[:, None, :2].remainder(1) + slip,
        ((position - 0.5) * size).where(exists[..., None], math.inf),
        draw_strength(lattice.wave, seeds, "wave"),
    )
