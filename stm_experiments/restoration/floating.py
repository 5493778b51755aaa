"""A floating window whose outputs count where they fit: for networks that know perfect crystals.

A network that was trained on perfect crystals, applied to a window across a fault, draws the mean
of two crystals. Blended like all others (``tiling.reconstruct``) such windows pull the two sides
together. The noisy image itself says which of the windows around a pixel are right there.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from stm_experiments.core.blur import gaussian_sum
from stm_experiments.models.tiling import window_starts

_BATCH = 2048  # windows at a time


def reconstruct_by_fit(
    net: Callable[[Tensor], Tensor],
    image: Tensor,
    window: int,
    stride: int,
    reach: float = 3.0,
    temperature: float = 2.0,
) -> Tensor:
    """Pass an image through a network window by window and prefer the outputs that fit the image.

    Each output is first fitted to its window by a factor and an offset (least squares): contrast
    and brightness need not be those of the training. At each pixel it then weighs

        w = sin(...) sin(...) exp(-S / (2 s^2 T)),

    with the cosine bump of ``tiling.reconstruct``, the squared differences S of output and image
    around the pixel, added up under a Gaussian, and the noise's variance s^2, the median over the
    windows of their mean squared difference. All windows around a pixel are compared on the same
    pixels, so that the noise of these cancels.

    Args:
        net: Maps ``[B,1,window,window]`` to the same shape; in eval mode.
        image: ``[H,W]``, in the units that the network expects.
        window: Side of the network's window [px].
        stride: Step between windows [px], 1 to ``window``.
        reach: Deviation of the Gaussian [px].
        temperature: T: 1 weighs outputs by their likelihood, infinity not at all.

    Returns:
        float32 ``[H,W]``.

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

    def outputs() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Pixels of a batch of windows, their outputs and squared differences, [B, window^2]."""
        for corner in corners.split(_BATCH):
            index = corner[:, None] + offsets
            noisy = flat[index]
            made = _fitted(net(noisy.view(-1, 1, window, window)).flatten(1), noisy)
            yield index, made, (noisy - made).square()

    # Twice through the network, or the outputs of a large image would not fit the memory.
    with torch.no_grad():
        variances = []
        best = torch.full_like(flat, math.inf)
        for index, _, squares in outputs():
            variances.append(squares.mean(1))
            best.scatter_reduce_(
                0, index.flatten(), _sums(squares, window, reach).flatten(), "amin"
            )
        unit = 2 * temperature * float(torch.cat(variances).median().clamp(min=1e-12))
        bump = torch.sin(math.pi * (pixel.double() + 0.5) / window)
        bumps = (bump[:, None] * bump).flatten()
        total, weights = (torch.zeros(len(flat), dtype=torch.float64) for _ in range(2))
        for index, made, squares in outputs():
            weight = bumps * torch.exp(
                (best[index] - _sums(squares, window, reach)).double() / unit
            )
            total.index_add_(0, index.flatten(), (weight * made).flatten())
            weights.index_add_(0, index.flatten(), weight.flatten())
    return (total / weights).view(height, width).float()


def _fitted(made: Tensor, noisy: Tensor) -> Tensor:
    """Outputs [B, P], each times a factor of at least 0 plus an offset that fit its input best."""
    shape = made - made.mean(1, keepdim=True)
    level = noisy.mean(1, keepdim=True)
    power = shape.square().sum(1, keepdim=True).clamp(min=1e-12)
    factor = ((noisy - level) * shape).sum(1, keepdim=True) / power
    return factor.clamp(min=0) * shape + level


def _sums(values: Tensor, window: int, deviation: float) -> Tensor:
    """Sum values of windows [B, window^2] under a Gaussian around each pixel, same shape."""
    return gaussian_sum(values.view(-1, 1, window, window), deviation).flatten(1)
