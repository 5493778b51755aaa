"""Overlapping windows whose outputs are weighted by their fit: for networks of perfect crystals.

A network that was trained on perfect crystals, applied to a window across a fault, draws the mean
of two crystals. Blended with equal weights (``tiling.apply_network``) such windows pull the two
sides together. The noisy image itself tells which of the windows around a pixel are right there.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.blur import gaussian_sum
from stm_experiments.models.tiling import window_starts

_BATCH = 2048  # windows at a time


class _Windows(NamedTuple):
    """A batch of windows; P pixels each.

    Attributes:
        pixels: Their indices in the flat image, [B, P].
        outputs: Of the network, fitted to the windows, [B, P].
        squares: Squared differences of output and image, [B, P].
    """

    pixels: Tensor
    outputs: Tensor
    squares: Tensor


def apply_fit_weighted(
    net: Callable[[Tensor], Tensor],
    image: Tensor,
    window: int,
    stride: int,
    reach: float = 3.0,
    temperature: float = 2.0,
) -> Tensor:
    """Pass an image through a network window by window and prefer the outputs that fit the image.

    Each output is first fitted to its window by a factor and an offset (least squares): contrast
    and brightness need not be those of the training. At each pixel its weight is

        w = sin(...) sin(...) exp(-S / (2 s^2 T)),

    with the cosine bump of ``tiling.apply_network``, the squared differences S of output and image
    around the pixel, summed under a Gaussian, and the noise's variance s^2, the median over the
    windows of their mean squared difference. All windows around a pixel are compared on the same
    pixels, so that their noise cancels.

    Args:
        net: Maps [B, 1, window, window] to the same shape; in evaluation mode.
        image: [H, W], in the units that the network expects.
        window: Side of the network's window, px.
        stride: Step between windows, px, 1 to ``window``.
        reach: Standard deviation of the Gaussian, px.
        temperature: T: 1 weighs outputs by their likelihood, infinity not at all.

    Returns:
        float32 [H, W].

    Raises:
        ValueError: If the image is smaller than the window, or a number makes no sense.
    """
    if not (reach > 0 and temperature > 0):
        raise ValueError(f"reach and temperature are positive, not {reach}, {temperature}")
    height, width = image.shape
    rows, columns = (torch.tensor(window_starts(n, window, stride)) for n in (height, width))
    pixel = torch.arange(window)
    corners = (rows[:, None] * width + columns).flatten()
    offsets = (pixel[:, None] * width + pixel).flatten()
    flat = image.float().flatten()

    def batches() -> Iterator[_Windows]:
        for corner in corners.split(_BATCH):
            index = corner[:, None] + offsets
            noisy = flat[index]
            outputs = _fitted(net(noisy.view(-1, 1, window, window)).flatten(1), noisy)
            yield _Windows(index, outputs, (noisy - outputs).square())

    def blurred(squares: Tensor) -> Tensor:
        return gaussian_sum(squares.view(-1, 1, window, window), reach).flatten(1)

    # Twice through the network, or the outputs of a large image would not fit the memory.
    with torch.no_grad():
        variances = []
        best = torch.full_like(flat, math.inf)
        for batch in batches():
            variances.append(batch.squares.mean(1))
            best.scatter_reduce_(
                0, batch.pixels.flatten(), blurred(batch.squares).flatten(), "amin"
            )
        unit = 2 * temperature * float(torch.cat(variances).median().clamp(min=1e-12))
        bump = torch.sin(math.pi * (pixel.double() + 0.5) / window)
        bumps = (bump[:, None] * bump).flatten()
        total, weights = (torch.zeros(len(flat), dtype=torch.float64) for _ in range(2))
        for pixels, outputs, squares in batches():
            weight = bumps * torch.exp((best[pixels] - blurred(squares)).double() / unit)
            total.index_add_(0, pixels.flatten(), (weight * outputs).flatten())
            weights.index_add_(0, pixels.flatten(), weight.flatten())
    return (total / weights).view(height, width).float()


def _fitted(outputs: Tensor, noisy: Tensor) -> Tensor:
    """Fit outputs [B, P] to their inputs by a factor of at least 0 and an offset each."""
    shape = outputs - outputs.mean(1, keepdim=True)
    level = noisy.mean(1, keepdim=True)
    power = shape.square().sum(1, keepdim=True).clamp(min=1e-12)
    factor = ((noisy - level) * shape).sum(1, keepdim=True) / power
    return factor.clamp(min=0) * shape + level
