"""Diagrams of networks, drawn from the network itself (paper: Figures 8, 9)."""

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon
from matplotlib.textpath import TextPath
from torch import Tensor, nn

from stm_experiments.figures.canvas import new_figure, wrapped
from stm_experiments.models.interfaces import Autoencoder, Network

_TIMES = "\N{MULTIPLICATION SIGN}"
_ROW_POINTS = 0.92 * 11.7 * 72  # what a row of labels may fill of the figure's width
_SMALLEST_FONT = 7.0
_COLOURS = {
    "input, output": "#BBBBBB",
    "convolution": "#56B4E9",
    "dense": "#009E73",
    "activation": "#F0E442",
    "pooling": "#CC79A7",
    "normalisation": "#0072B2",
    "other": "#FFFFFF",
    "latent code": "#D55E00",
}


class Block(NamedTuple):
    """One box of the diagram: a layer's name, output shape without the batch, and parameters."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def network_diagram(net: Network, input_shape: Sequence[int], title: str) -> Figure:
    """Draw a network's layers in the order in which an image passes them (Figures 8, 9).

    A forward pass on a blank image records every call of a module without children. The network is
    left as it was: mode, buffers and the global random stream do not change.

    Args:
        net: Maps [B,1,h,w] to [B,1,h,w]. With `encode` and `decode` the diagram shows the latent
            code; without layers (PCA: buffers only) it shows input, code and output.
        input_shape: (1, h, w); for networks of any size, an example.
        title: The network's name.

    Returns:
        The figure: encoder above, decoder below, or one row if the network is short.

    Raises:
        ValueError: If `input_shape` has not three numbers.
    """
    if len(input_shape) != 3:
        raise ValueError(f"the input's shape is (1, h, w), got {tuple(input_shape)}")
    encoder, latent, decoder, output = _trace(net, input_shape)
    entry = Block("input", "input, output", tuple(input_shape), 0)
    exit_ = Block("output", "input, output", output, 0)
    if latent is None:
        parts = [("", [entry, *decoder, exit_])]
    else:
        code = Block("latent code", "latent code", latent, 0)
        parts = [("encoder", [entry, *encoder, code]), ("decoder", [code, *decoder, exit_])]
        if len(encoder) + len(decoder) <= 6:
            parts = [("", [entry, *encoder, code, *decoder, exit_])]
    widest = max(_text_width(_label(block)) for _, blocks in parts for block in blocks)
    most = max(1, int(_ROW_POINTS / (_SMALLEST_FONT * widest)))
    rows = [(name, row) for name, blocks in parts for row in _split(blocks, most)]
    slots = max(8, *(len(row) for _, row in rows))
    fontsize = min(10.0, _ROW_POINTS / (slots * widest))

    total = sum(parameter.numel() for parameter in net.parameters())
    heading = f"{title}: {total:,} parameters"
    if total == 0 and (fixed := sum(buffer.numel() for buffer in net.buffers())):
        heading += f" ({fixed:,} numbers fitted in closed form)"
    figure = new_figure(12, 2.5 * len(rows) + 1.3, heading, _caption(net, input_shape, rows))
    channels = max(block.shape[0] for _, blocks in rows for block in blocks if block.shape)
    for axes, (name, blocks) in zip(
        figure.subplots(len(rows), squeeze=False).flat, rows, strict=True
    ):
        axes.set_title(name, loc="left", fontsize=11, color="0.3")
        _draw_row(axes, blocks, slots, fontsize, channels, (input_shape[1], input_shape[2]))
    used = {block.kind for _, blocks in rows for block in blocks}
    figure.axes[0].legend(
        handles=[
            Patch(facecolor=colour, edgecolor="0.2", label=kind)
            for kind, colour in _COLOURS.items()
            if kind in used
        ],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(used),
        fontsize=9,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
    )
    return figure


def _caption(net: Network, input_shape: Sequence[int], rows: Sequence[tuple[str, object]]) -> str:
    """Return the text below the diagram."""
    _, height, width = input_shape
    text = "Below each block: layer, size of its output (channels x height x width), parameters. "
    text += f"Input: {height} x {width} px" + ("." if net.window else ", any size is possible.")
    text += " A block's height and depth follow the image size, its width the logarithm of the"
    text += " channels; a strip is a list of numbers, its height their logarithm."
    if sum(name in ("encoder", "decoder") for name, _ in rows) >= 2:
        text += (
            " The latent code is drawn twice: where the encoder ends and where the decoder begins."
        )
    return text


def _trace(
    net: Network, input_shape: Sequence[int]
) -> tuple[list[Block], tuple[int, ...] | None, list[Block], tuple[int, ...]]:
    """Run a blank image through the network.

    Returns:
        The encoder's blocks, the latent code's shape (None and no encoder where the network has
        none), the decoder's (or all) blocks, the output's shape.
    """
    some = next(iter([*net.parameters(), *net.buffers()]), torch.zeros(()))
    blank = torch.zeros(1, *input_shape, device=some.device)
    modes = [(module, module.training) for module in net.modules()]
    devices = [some.device] if some.is_cuda else []
    try:
        net.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            blocks, output = _record(net, net, blank)
            if not isinstance(net, Autoencoder):
                return [], None, blocks, tuple(output.shape[1:])
            _, code = _record(net, net.encode, blank)
            after, _ = _record(net, net.decode, code)
    finally:
        for module, mode in modes:
            module.training = mode
    # Counted from the end: the same activation may serve both halves, and a forward pass may call
    # layers (a variance, say) that neither `encode` nor `decode` calls alone.
    start = len(blocks) - len(after)
    return blocks[:start], tuple(code.shape[1:]), blocks[start:], tuple(output.shape[1:])


def _record(
    net: Network, function: Callable[[Tensor], Any], argument: Tensor
) -> tuple[list[Block], Tensor]:
    """Call a function of the network; return a block per call of a leaf module, and the result."""
    blocks: list[Block] = []

    def hook(module: nn.Module, _: object, output: Any) -> None:
        name = type(module).__name__
        count = sum(parameter.numel() for parameter in module.parameters())
        blocks.append(Block(name, _kind(name), tuple(_first(output).shape[1:]), count))

    leaves = [
        module for module in net.modules() if module is not net and not any(module.children())
    ]
    handles = [leaf.register_forward_hook(hook) for leaf in leaves]
    try:
        result = _first(function(argument))
    finally:
        for handle in handles:
            handle.remove()
    return blocks, result


def _first(output: Any) -> Tensor:
    """Return the first tensor of an output; variational encoders return several."""
    while not isinstance(output, Tensor):
        output = output[0]
    return output


def _kind(name: str) -> str:
    """Return the key of `_COLOURS` for the class name of a layer."""
    for part, kind in (
        ("Conv", "convolution"),
        ("Linear", "dense"),
        ("Pool", "pooling"),
        ("Norm", "normalisation"),
        ("LU", "activation"),  # ReLU, ELU, GELU, SiLU, ...
        ("anh", "activation"),
        ("igmoid", "activation"),
        ("swish", "activation"),
    ):
        if part in name:
            return kind
    return "other"


def _split(blocks: list[Block], most: int) -> list[list[Block]]:
    """Cut a row of more than `most` blocks into rows of nearly equal length."""
    count = math.ceil(len(blocks) / most)
    length = math.ceil(len(blocks) / count)
    return [blocks[start : start + length] for start in range(0, len(blocks), length)]


def _draw_row(
    axes: Axes,
    blocks: Sequence[Block],
    slots: int,
    fontsize: float,
    most_channels: int,
    image_size: tuple[int, int],
) -> None:
    """Draw blocks from left to right, one per slot of width 1, their labels below."""
    first = (slots - len(blocks)) / 2  # short rows stand in the middle
    edges = []
    for index, block in enumerate(blocks):
        centre = first + index + 0.5
        edges.append(_draw_block(axes, centre, block, most_channels, image_size))
        axes.text(
            centre,
            -0.08,
            _label(block),
            fontsize=fontsize,
            fontweight="bold" if block.kind == "latent code" else "normal",
            horizontalalignment="center",
            verticalalignment="top",
            linespacing=1.25,
        )
    for (_, start), (end, _) in pairwise(edges):
        axes.annotate(
            "",
            xy=(end - 0.03, 0.5),
            xytext=(start + 0.03, 0.5),
            arrowprops={"arrowstyle": "->", "color": "0.4", "shrinkA": 0, "shrinkB": 0},
        )
    axes.set_xlim(0, slots)
    axes.set_ylim(-0.62, 1.05)
    axes.set_axis_off()


def _label(block: Block) -> str:
    """Return the text below a block; long class names are broken between their words."""
    words = re.findall(r"[A-Z]*[^A-Z]*", block.name) if len(block.name) > 11 else [block.name]
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1] + word) > 11:
            lines.append("")
        lines[-1] += word
    lines = ["\n".join(lines), _TIMES.join(map(str, block.shape))]
    if block.parameters:
        lines.append(f"{block.parameters:,} par.")
    return wrapped("\n".join(lines), 40)


def _text_width(text: str) -> float:
    """Return the width of the widest line in points, at a font size of one point."""
    return max(TextPath((0, 0), line, size=1).get_extents().width for line in text.split("\n"))


def _draw_block(
    axes: Axes, centre: float, block: Block, most_channels: int, image_size: tuple[int, int]
) -> tuple[float, float]:
    """Draw one block and return its left and right edge."""
    if len(block.shape) == 3:
        channels, height, width = block.shape
        high = max(0.8 * min(height / image_size[0], 1.2), 0.03)
        wide = 0.08 + 0.32 * math.log2(1 + channels) / math.log2(1 + most_channels)
        deep = 0.22 * min(width / image_size[1], 1.2)
    else:
        numbers = math.prod(block.shape)
        high = 0.9 * min(math.log2(1 + numbers) / math.log2(1 + math.prod(image_size)), 1.0)
        wide, deep = 0.14, 0.0
    colour = _COLOURS[block.kind]
    rise = 0.6 * deep
    left, bottom = centre - (wide + deep) / 2, 0.5 - (high + rise) / 2
    right, top = left + wide, bottom + high
    front = [(left, bottom), (right, bottom), (right, top), (left, top)]
    roof = [(left, top), (right, top), (right + deep, top + rise), (left + deep, top + rise)]
    side = [
        (right, bottom),
        (right, top),
        (right + deep, top + rise),
        (right + deep, bottom + rise),
    ]
    for corners, shade in ((front, 1.0), (roof, 0.75), (side, 0.5)):
        axes.add_patch(
            Polygon(corners, facecolor=colour, edgecolor="0.2", linewidth=0.8, alpha=shade)
        )
    return left, right + deep
