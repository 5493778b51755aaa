"""Application of networks to whole images: by windows or by pieces, in bounded memory.

Every window is addressed by the flat index of its top left pixel. The same indices cut the windows
out of the image and add them back.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.models.interfaces import Uncertain

PIXELS_PER_BATCH = 2**21  # caps the memory of one batch of large windows, whatever batch_size says

Progress = Callable[[int, int], object]  # (done, total)


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Return the first pixels of the windows along one axis.

    Args:
        length: Pixels along the axis.
        window: Side of a window, px.
        stride: Step between windows, px.

    Returns:
        Multiples of ``stride``, and at the end ``length - window``: the last window is moved to the
        border, so that every pixel is covered.

    Raises:
        ValueError: If the window does not fit, or the stride is below 1 or above the window.
    """
    if window < 1:
        raise ValueError(f"The window must be at least 1 px, not {window}.")
    if not 1 <= stride <= window:
        raise ValueError(
            f"The stride must be between 1 and the window ({window} px), not {stride}."
        )
    if length < window:
        raise ValueError(
            f"The image side of {length} px is smaller than the window of {window} px."
        )
    starts = list(range(0, length - window + 1, stride))
    if starts[-1] != length - window:
        starts.append(length - window)
    return starts


def apply_network(
    net: Callable[[Tensor], Tensor],
    image: Tensor,
    window: int | None,
    stride: int,
    batch_size: int | None = None,
    progress: Progress | None = None,
    piece: int = 1024,
    margin: int = 96,
) -> Tensor:
    """Pass an image through a network window by window and blend the overlapping outputs.

    Each output is weighted by a cosine bump, sin(pi (i + 1/2) / window) along either axis, which is
    positive up to the corner pixels, and the sum is divided by the sum of the weights: a network
    that returns its input returns the image. Sums are kept in float64, on the image's device.

    A network without window gets the image in one pass, or a large one in pieces. Of each piece,
    ``margin`` pixels are dropped where it was cut off, and over the next ``margin`` it fades into
    its neighbour. The result is that of one pass if no output pixel depends on input further away
    than ``margin``, and the network's coarsest pixel divides ``piece - 3 margin``; a network that
    also uses the mean or the standard deviation of its input differs a little from piece to piece.

    The network is called as it is: put it in evaluation mode first, on the image's device.

    Args:
        net: Maps [B, 1, window, window] to the same shape.
        image: [H, W] or [1, 1, H, W], in the units that the network expects.
        window: Side of the network's window, px. None: it takes any size (``stride`` and
            ``batch_size`` are then not used).
        stride: Step between windows, px, 1 to ``window``.
        batch_size: Windows per call of the network; fewer if they would exceed 2 million pixels.
            None: 512 on a CPU (small windows then stay in its cache: twice the speed of 4096), else
            4096.
        progress: Called after each batch or piece as ``progress(done, total)``.
        piece: Largest side that a network without window receives at once, px.
        margin: Pixels at the cut sides of a piece that are not used.

    Returns:
        float32 tensor of the image's shape, on its device.

    Raises:
        ValueError: If the image is not one finite image at least as large as the window, the stride
            is below 1 or above the window, the margins fill a piece, or the network changes the
            shape or returns NaN.
    """
    plane = _plane(image)
    if batch_size is None:
        batch_size = 512 if plane.device.type == "cpu" else 4096
    if batch_size < 1:
        raise ValueError(f"The batch size must be at least 1, not {batch_size}.")
    if not torch.isfinite(plane).all():
        raise ValueError("The image has NaN or infinite pixels and cannot be reconstructed.")
    with torch.no_grad():
        if window is None:
            result = _join(net, plane, piece, margin, progress)
        else:
            result = _blend(net, plane, window, stride, batch_size, progress)
    return result.reshape(image.shape)


class OutputWithDeviation(NamedTuple):
    """The output of a network and how certain it is.

    Attributes:
        output: [H, W].
        deviation: Standard deviation, [H, W], in the units of the output.
    """

    output: Tensor
    deviation: Tensor


def apply_with_deviation(
    net: Callable[[Tensor], Tensor],
    image: Tensor,
    window: int | None,
    stride: int,
    progress: Progress | None = None,
) -> OutputWithDeviation:
    """Pass an image through a network, and through its mirror images for the uncertainty.

    The deviation is the standard deviation (n - 1) of the outputs in the 4 symmetries that keep
    rows rows: the image as it is, mirrored along either axis, and along both. (To a network that
    learned the noise of scan lines, an image turned by 90 degrees is unknown.) A network that is
    ``Uncertain`` states its own deviation instead.

    Args:
        net: As for ``apply_network``.
        image: [H, W].
        window: As for ``apply_network``.
        stride: As for ``apply_network``.
        progress: As for ``apply_network``, over all 4 passes.

    Returns:
        The output, equal to that of ``apply_network``, and its deviation.

    Raises:
        ValueError: As ``apply_network``.
    """
    if isinstance(net, Uncertain):
        output = apply_network(net, image, window, stride, progress=progress)
        return OutputWithDeviation(output, apply_network(net.uncertainty, image, window, stride))
    outputs = []
    for number, axes in enumerate(((), (0,), (1,), (0, 1))):

        def part(done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(number * total + done, 4 * total)

        mirrored = image.flip(axes)
        outputs.append(apply_network(net, mirrored, window, stride, progress=part).flip(axes))
    return OutputWithDeviation(outputs[0], torch.stack(outputs).std(0))


def _plane(image: Tensor) -> Tensor:
    """Return a float32 view or copy [H, W] of a tensor [H, W] or [1, 1, H, W]."""
    if image.ndim == 4 and image.shape[:2] == (1, 1):
        image = image[0, 0]
    if image.ndim != 2 or image.numel() == 0:
        raise ValueError(f"Expected one image [H, W] or [1, 1, H, W], not {list(image.shape)}.")
    return image.detach().to(torch.float32)


def _call(net: Callable[[Tensor], Tensor], patches: Tensor) -> Tensor:
    """Return the network's output in float32, checked for shape and finite values."""
    output = net(patches)
    if output.shape != patches.shape:
        raise ValueError(
            f"The network changed the shape {list(patches.shape)} to {list(output.shape)}."
        )
    if not torch.isfinite(output).all():
        raise ValueError("The network returned NaN or infinite values.")
    return output.to(torch.float32)


def _join(
    net: Callable[[Tensor], Tensor],
    plane: Tensor,
    piece: int,
    margin: int,
    progress: Progress | None,
) -> Tensor:
    """Map an image [H, W] in overlapping pieces that fade into each other."""

    def run(part: Tensor) -> Tensor:
        return _call(net, part[None, None])[0]

    return join_pieces(run, plane, 1, progress, piece, margin)[0]


def join_pieces(
    run: Callable[[Tensor], Tensor],
    image: Tensor,
    maps: int,
    progress: Progress | None = None,
    piece: int = 1024,
    margin: int = 96,
) -> Tensor:
    """Map an image in overlapping pieces that fade into each other; see ``apply_network``.

    Args:
        run: Maps a piece [h, w] to maps [K, h, w].
        image: [H, W].
        maps: K.
        progress: Called as ``progress(done, total)``.
        piece: Largest side of a piece, px.
        margin: Pixels at the cut sides of a piece that are not used.

    Returns:
        [K, H, W].

    Raises:
        ValueError: If the margins fill a piece.
    """
    if not 0 <= 4 * margin <= piece:
        raise ValueError(f"Four margins of {margin} px do not fit a piece of {piece} px.")
    rows, columns = (_spans(length, piece, margin) for length in image.shape)
    total = image.new_zeros(maps, *image.shape)
    done = 0
    for top, bottom, row_weight in rows:
        for left, right, column_weight in columns:
            weight = (row_weight[:, None] * column_weight).to(image.device)
            total[:, top:bottom, left:right] += weight * run(image[top:bottom, left:right])
            done += 1
            if progress is not None:
                progress(done, len(rows) * len(columns))
    return total


class _Piece(NamedTuple):
    """A piece of an axis: its first pixel, its last + 1, and the weight of each pixel."""

    start: int
    stop: int
    weight: Tensor


def _spans(length: int, piece: int, margin: int) -> list[_Piece]:
    """Return the pieces along an axis, whose weights add up to 1."""
    step = piece - 3 * margin
    fade = torch.cat([torch.zeros(margin), (torch.arange(margin) + 0.5) / max(margin, 1)])
    spans = []
    for start in range(0, max(length - 3 * margin, 1), step):
        weight = torch.ones(min(piece, length - start))
        if start > 0:
            weight[: 2 * margin] *= fade
        if start + piece < length:
            weight[piece - 2 * margin :] *= fade.flip(0)
        spans.append(_Piece(start, start + len(weight), weight))
    return spans


def _blend(
    net: Callable[[Tensor], Tensor],
    plane: Tensor,
    window: int,
    stride: int,
    batch_size: int,
    progress: Progress | None,
) -> Tensor:
    """Map an image [H, W] to the weighted mean over all windows that cover a pixel."""
    height, width = plane.shape
    device = plane.device
    rows = torch.tensor(window_starts(height, window, stride), device=device)
    columns = torch.tensor(window_starts(width, window, stride), device=device)
    pixel = torch.arange(window, device=device)
    bump = torch.sin(math.pi * (pixel.double() + 0.5) / window)

    corners = (rows[:, None] * width + columns).flatten()
    offsets = (pixel[:, None] * width + pixel).flatten()
    weights = (bump[:, None] * bump).flatten()

    flat = plane.flatten()
    total = torch.zeros(height * width, dtype=torch.float64, device=device)
    done = 0
    for corner in corners.split(min(batch_size, max(1, PIXELS_PER_BATCH // window**2))):
        index = corner[:, None] + offsets
        output = _call(net, flat[index].view(-1, 1, window, window))
        total.index_add_(0, index.flatten(), (output.flatten(1) * weights).flatten())
        done += len(corner)
        if progress is not None:
            progress(done, len(corners))

    # A window's weight is a product of one bump per axis, so the sum of weights is one too.
    rows_weight = _axis_weight(rows, bump, height)
    columns_weight = _axis_weight(columns, bump, width)
    return (total.view(height, width) / rows_weight[:, None] / columns_weight).float()


def _axis_weight(starts: Tensor, bump: Tensor, length: int) -> Tensor:
    """Return the sum of the bumps that begin at ``starts`` [n] on an axis of ``length`` pixels."""
    index = starts[:, None] + torch.arange(len(bump), device=bump.device)
    weight = torch.zeros(length, dtype=torch.float64, device=bump.device)
    return weight.index_add_(0, index.flatten(), bump.expand(len(starts), -1).flatten())


def seam_energy(image: Tensor, window: int, stride: int) -> float:
    """Return the gradient energy on the window grid over the gradient energy off it.

    The gradient between two neighbouring pixels of a row or column is *on the grid* if at least one
    window of ``window_starts`` begins or ends between them (the image's own borders do not count),
    else *off* it. The measure is the mean squared gradient of the pairs on the grid, over both
    axes, divided by that of the pairs off it. It is 1 for an image without relation to the grid,
    such as white noise, and larger where seams show. A lattice whose period fits the stride can
    differ from 1 without seams: compare with the seam energy of the input.

    Args:
        image: [H, W] or [1, 1, H, W].
        window: Side of the windows that it was blended from, px.
        stride: Their step, px.

    Returns:
        The ratio; 1.0 for a constant image or a single window; inf if only the grid has gradients.

    Raises:
        ValueError: As ``window_starts``; or if every pair is on the grid (always so at stride 1).
    """
    plane = _plane(image).double()
    on, off = [], []
    for axis in (0, 1):
        length = plane.shape[axis]
        gradient = plane.diff(dim=axis).square().movedim(axis, 0)
        edges = {e for s in window_starts(length, window, stride) for e in (s, s + window)}
        on_grid = torch.zeros(length - 1, dtype=torch.bool, device=plane.device)
        on_grid[[e - 1 for e in sorted(edges) if 0 < e < length]] = True
        on.append(gradient[on_grid].flatten())
        off.append(gradient[~on_grid].flatten())
    seams, rest = torch.cat(on), torch.cat(off)
    if seams.numel() == 0:
        return 1.0
    if rest.numel() == 0:
        raise ValueError(
            f"Windows of {window} px at stride {stride} put every pixel pair on the grid: "
            "the seam energy is not defined."
        )
    on_energy, off_energy = seams.mean().item(), rest.mean().item()
    if off_energy == 0.0:
        return 1.0 if on_energy == 0.0 else math.inf
    return on_energy / off_energy
