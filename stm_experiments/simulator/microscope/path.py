"""The lines along which a sample is scanned, and how an image of it follows from them.

A line is scanned fast: the sample moves from line to line, not within one. Line r of the image then
shows the sample along line r + d0(r), from column d1(r) on, with a displacement (d0, d1) per line.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stm_experiments.simulator.lattices.atoms import Atoms


@dataclass(frozen=True)
class ScanPath:
    """The scanned lines of N images.

    Attributes:
        moved: Displacement at each line along image axes 0 and 1, px, [N, H, 2] float64.
        border: By how much the sample is larger than the image on each side, px. 0 only if no line
            is displaced.
    """

    moved: Tensor
    border: int

    @property
    def size(self) -> int:
        """Image height and width, px."""
        return self.moved.shape[1]

    def image(self, sample: Tensor) -> Tensor:
        """Return the images of a sample [N, 1, C, C], [N, 1, H, H]."""
        return interpolate_lines(sample, self.moved, self.border) if self.border else sample

    def labels(self, labels: Tensor) -> Tensor:
        """Return the images of a map of labels [N, C, C, ...], each of the nearest px."""
        if not self.border:
            return labels
        lines = self.size
        row = (self.moved[..., 0] + torch.arange(lines) + self.border).round().long()
        column = (self.moved[..., 1] + self.border).round().long()[..., None] + torch.arange(lines)
        row, column = row.clamp(0, labels.shape[1] - 1), column.clamp(0, labels.shape[2] - 1)
        return labels[torch.arange(len(labels))[:, None, None], row[..., None], column]

    def atoms(self, atoms: Atoms) -> Atoms:
        """Return where the images show atoms, whose u and v are px of the sample.

        Atoms outside move with the nearest line.
        """
        if not self.border:
            return atoms
        u, v = atoms.u - self.border, atoms.v - self.border
        lines = self.size
        scanned = (self.moved[..., 0] + torch.arange(lines)).cummax(1).values.contiguous()
        after = torch.searchsorted(scanned, u.contiguous()).clamp(1, lines - 1)
        low, high = scanned.gather(1, after - 1), scanned.gather(1, after)
        share = ((u - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
        row = after - 1 + share
        outside = u - (low + share * (high - low))
        column = v - self.moved[..., 1].gather(1, row.round().long())
        return atoms._replace(u=row + outside, v=column)


def interpolate_lines(sample: Tensor, moved: Tensor, border: int) -> Tensor:
    """Scan a sample along displaced lines by Lagrange interpolation through 6 px along each axis.

    Args:
        sample: Drawn with ``border`` px around the image, [N, 1, H + 2 border, W + 2 border].
        moved: Displacement at each line, px, [N, H, 2].
        border: Margin of the sample, px.

    Returns:
        The images, [N, 1, H, W]. For Gaussians of sigma 2 px they are exact to 1 in 1000.
    """
    images, lines = moved.shape[:2]
    width = sample.shape[-1] - 2 * border
    moved = moved.to(sample.device)
    first, weights = _taps(moved[..., 0] + torch.arange(lines, device=sample.device) + border)
    image = torch.arange(images, device=sample.device)[:, None]
    rows = torch.zeros(images, lines, sample.shape[-1], device=sample.device)
    for k in range(6):
        index = (first + k).clamp(0, sample.shape[-2] - 1)
        rows.addcmul_(sample[image, 0, index], weights[..., k, None])
    first, weights = _taps(moved[..., 1] + border)
    column = first[..., None] + torch.arange(width + 5, device=sample.device)
    rows = rows.gather(2, column.clamp_(0, sample.shape[-1] - 1))
    shifted = torch.zeros(images, lines, width, device=sample.device)
    for k in range(6):
        shifted.addcmul_(rows[..., k : k + width], weights[..., k, None])
    return shifted[:, None]


def _taps(position: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first of the 6 px around each position, and their weights, [..., 6] float32."""
    pixel = position.floor()
    fraction = position - pixel
    weights = []
    for k in range(-2, 4):
        weight = torch.ones_like(fraction)
        for j in range(-2, 4):
            if j != k:
                weight = weight * ((fraction - j) / (k - j))
        weights.append(weight)
    return pixel.long() - 2, torch.stack(weights, -1).float()
