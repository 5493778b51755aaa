"""What the scan adds to a topograph: the striation of the paper."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.simulator.lattice import Lattice


@dataclass(frozen=True)
class ScanNoise:
    """Strength of the striation.

    Attributes:
        striation: Peak-to-peak height of the stripes, in the topograph's unit (the paper: 0.3).
        striation_kappa: Wave number of the stripes, rad per px (the published sc images: pi/3).
    """

    striation: float = 0.0
    striation_kappa: float = math.pi / 6


def striation(uniform: Tensor, noise: ScanNoise, lattice: Lattice, size: int) -> Tensor:
    """Stripes S/2 (cos(kappa (-r1 sin t1 + r0 cos t2)) + 1/2) across the image.

    t1, t2 are pi/s times two independent uniforms, with s = spread^2 / (64 k); r0, r1 are pixel
    indices along axes 0 and 1 minus (K/2 - 22), K = size - 1 + 6 spread the programs' canvas.

    Args:
        uniform: Two draws per image in [0, 1), [N, 2].
        noise: Strength S and wave number kappa.
        lattice: The lattice, for s.
        size: Image height and width, px.

    Returns:
        The stripes, [N, 1, size, size] float32 on the device of ``uniform``.
    """
    s = lattice.spread**2 / (64 * lattice.k)
    t1, t2 = (math.pi / s * uniform.to(torch.float64)).unsqueeze(2).unbind(1)
    centre = size // 2 + 3 * lattice.spread - 22
    r = torch.arange(size, dtype=torch.float64, device=uniform.device) - centre
    a, b = noise.striation_kappa * torch.cos(t2) * r, noise.striation_kappa * torch.sin(t1) * r
    # cos(a - b) = cos a cos b + sin a sin b: no cosine per pixel.
    height = 0.5 * noise.striation
    down = torch.stack((torch.cos(a), torch.sin(a), torch.full_like(a, 0.5)), 2)
    across = torch.stack((torch.cos(b), torch.sin(b), torch.ones_like(b)), 1)
    return torch.bmm((height * down).float(), across.float()).unsqueeze(1)
