"""Diagrams of networks, drawn from the network itself (paper: Figures 8, 9)."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
_ROW_POINTS = 0.92 * 11.7 * 72  # width of a row of labels, at most: points of the figure's width
_SMALLEST_FONT = 7.0  # points
_LARGEST_FONT = 10.0
_FEWEST_SLOTS = 8  # a row of fewer blocks is drawn as if it had so many
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
_KINDS = {  # kind of a layer by part of its class name
    "Conv": "convolution",
    "Linear": "dense",
    "Pool": "pooling",
    "Norm": "normalisation",
    "LU": "activation",  # ReLU, ELU, GELU, SiLU, ...
    "anh": "activation",
    "igmoid": "activation",
    "swish": "activation",
}


class Block(NamedTuple):
    """One box of the diagram: a layer's name, output shape without the batch, and parameters."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


class Row(NamedTuple):
    """A row of blocks under a heading, which may be empty."""

    heading: str
    blocks: list[Block]


class LayerSequence(NamedTuple):
    """What an image passes on its way through a network.

    Attributes:
        encoder: Blocks before the latent code; none if the network has no code.
        code: Shape of the latent code without the batch, or None.
        decoder: Blocks after the latent code, or all.
        output: Shape of the output without the batch.
    """

    encoder: list[Block]
    code: tuple[int, ...] | None
    decoder: list[Block]
    output: tuple[int, ...]


class BlockScale(NamedTuple):
    """The sizes by which blocks are drawn.

    Attributes:
        slots: Blocks in a row, each in a slot of width 1.
        fontsize: Size of the labels in points.
        channels: Largest number of channels.
        height: Height of the input in px.
        width: Width of the input in px.
    """

    slots: int
    fontsize: float
    channels: int
    height: int
    width: int


class Edges(NamedTuple):
    """Left and right edge of a drawn block."""

    left: float
    right: float


def network_diagram(net: Network, input_shape: Sequence[int], title: str) -> Figure:
    """Draw a network's layers in the order in which an image passes them (Figures 8, 9).

    A forward pass on a blank image records every call of a module without children. The network is
    left as it was: mode, buffers and the global random stream do not change.

    Args:
        net: The network. The diagram of an autoencoder shows the latent code; without layers
            (PCA has buffers only) it shows input, code and output.
        input_shape: (1, h, w); for networks of any size, an example.
        title: The network's name.

    Returns:
        The figure: encoder above, decoder below, or one row if the network is short.

    Raises:
        ValueError: If `input_shape` has not three numbers.
    """
    if len(input_shape) != 3:
        raise ValueError(f"the input's shape is (1, h, w), got {tuple(input_shape)}")
    rows = _arrange(_trace(net, input_shape), input_shape)
    widest = max(_text_width(_label(block)) for row in rows for block in row.blocks)
    most = max(1, int(_ROW_POINTS / (_SMALLEST_FONT * widest)))
    rows = [part for row in rows for part in _split(row, most)]
    slots = max(_FEWEST_SLOTS, *(len(row.blocks) for row in rows))
    scale = BlockScale(
        slots,
        min(_LARGEST_FONT, _ROW_POINTS / (slots * widest)),
        max(block.shape[0] for row in rows for block in row.blocks if block.shape),
        input_shape[1],
        input_shape[2],
    )
    figure = new_figure(
        12, 2.5 * len(rows) + 1.3, _heading(net, title), _caption(net, input_shape, rows)
    )
    for axes, row in zip(figure.subplots(len(rows), squeeze=False).flat, rows, strict=True):
        axes.set_title(row.heading, loc="left", fontsize=11, color="0.3")
        _draw_row(axes, row.blocks, scale)
    _add_legend(figure.axes[0], {block.kind for row in rows for block in row.blocks})
    return figure


def _arrange(trace: LayerSequence, input_shape: Sequence[int]) -> list[Row]:
    """Return the blocks from input to output, in two rows if the network is a long autoencoder."""
    entry = Block("input", "input, output", tuple(input_shape), 0)
    end = Block("output", "input, output", trace.output, 0)
    if trace.code is None:
        return [Row("", [entry, *trace.decoder, end])]
    code = Block("latent code", "latent code", trace.code, 0)
    if len(trace.encoder) + len(trace.decoder) <= 6:
        return [Row("", [entry, *trace.encoder, code, *trace.decoder, end])]
    return [
        Row("encoder", [entry, *trace.encoder, code]),
        Row("decoder", [code, *trace.decoder, end]),
    ]


def _split(row: Row, most: int) -> list[Row]:
    """Cut a row of more than `most` blocks into rows of nearly equal length."""
    count = math.ceil(len(row.blocks) / most)
    length = math.ceil(len(row.blocks) / count)
    starts = range(0, len(row.blocks), length)
    return [Row(row.heading, row.blocks[start : start + length]) for start in starts]


def _heading(net: Network, title: str) -> str:
    """Return the title with the number of parameters."""
    trained = sum(parameter.numel() for parameter in net.parameters())
    fitted = sum(buffer.numel() for buffer in net.buffers())
    heading = f"{title}: {trained:,} parameters"
    if trained == 0 and fitted:
        heading += f" ({fitted:,} numbers fitted in closed form)"
    return heading


def _caption(net: Network, input_shape: Sequence[int], rows: Sequence[Row]) -> str:
    """Return the text below the diagram."""
    _, height, width = input_shape
    any_size = "" if net.window else ", any size is possible"
    text = (
        "Below each block: layer, size of its output (channels x height x width), parameters. "
        f"Input: {height} x {width} px{any_size}. A block's height and depth follow the image "
        "size, its width the logarithm of the number of channels. A strip is a list of numbers, "
        "its height follows the logarithm of their count."
    )
    if sum(bool(row.heading) for row in rows) >= 2:
        text += " The latent code is drawn twice: at the encoder's end and the decoder's beginning."
    return text


def _trace(net: Network, input_shape: Sequence[int]) -> LayerSequence:
    """Pass a blank image through a network and record its layers."""
    tensor = next(iter([*net.parameters(), *net.buffers()]), torch.zeros(()))
    blank = torch.zeros(1, *input_shape, device=tensor.device)
    with _undisturbed(net, tensor.device):
        layers, output = _record(net, net, blank)
        output_shape = tuple(output.shape[1:])
        if not isinstance(net, Autoencoder):
            return LayerSequence([], None, layers, output_shape)
        _, code = _record(net, net.encode, blank)
        decoder, _ = _record(net, net.decode, code)
    # Counted from the end: the same activation may serve both halves, and a forward pass may call
    # layers (a variance, say) that neither `encode` nor `decode` calls alone.
    start = len(layers) - len(decoder)
    return LayerSequence(layers[:start], tuple(code.shape[1:]), layers[start:], output_shape)


@contextmanager
def _undisturbed(net: Network, device: torch.device) -> Iterator[None]:
    """Evaluate a network without gradients; then restore its modes and the random streams."""
    modes = [(module, module.training) for module in net.modules()]
    devices = [device] if device.type == "cuda" else []
    try:
        net.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


class Record(NamedTuple):
    """A block per call of a layer, and the result of all."""

    blocks: list[Block]
    result: Tensor


def _record(net: Network, function: Callable[[Tensor], Any], argument: Tensor) -> Record:
    """Call a function of a network; record each call of a module without children."""
    blocks: list[Block] = []

    def hook(module: nn.Module, _: object, output: Any) -> None:
        name = type(module).__name__
        count = sum(parameter.numel() for parameter in module.parameters())
        blocks.append(Block(name, _kind(name), tuple(_first_tensor(output).shape[1:]), count))

    modules = list(net.modules())[1:]  # the first is the network itself
    leaves = [module for module in modules if not any(module.children())]
    handles = [leaf.register_forward_hook(hook) for leaf in leaves]
    try:
        result = _first_tensor(function(argument))
    finally:
        for handle in handles:
            handle.remove()
    return Record(blocks, result)


def _first_tensor(output: Any) -> Tensor:
    """Return the first tensor of an output; variational encoders return several."""
    while not isinstance(output, Tensor):
        output = output[0]
    return output


def _kind(name: str) -> str:
    """Return the key of `_COLOURS` for the class name of a layer."""
    return next((kind for part, kind in _KINDS.items() if part in name), "other")


def _add_legend(axes: Axes, kinds: set[str]) -> None:
    """Add a legend of the kinds of layers above the first row."""
    axes.legend(
        handles=[
            Patch(facecolor=colour, edgecolor="0.2", label=kind)
            for kind, colour in _COLOURS.items()
            if kind in kinds
        ],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(kinds),
        fontsize=9,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
    )


def _draw_row(axes: Axes, blocks: Sequence[Block], scale: BlockScale) -> None:
    """Draw blocks from left to right, in the middle of the row, with labels below."""
    first = (scale.slots - len(blocks)) / 2
    edges = []
    for index, block in enumerate(blocks):
        centre = first + index + 0.5
        edges.append(_draw_block(axes, centre, block, scale))
        axes.text(
            centre,
            -0.08,
            _label(block),
            fontsize=scale.fontsize,
            fontweight="bold" if block.kind == "latent code" else "normal",
            horizontalalignment="center",
            verticalalignment="top",
            linespacing=1.25,
        )
    for before, after in pairwise(edges):
        axes.annotate(
            "",
            xy=(after.left - 0.03, 0.5),
            xytext=(before.right + 0.03, 0.5),
            arrowprops={"arrowstyle": "->", "color": "0.4", "shrinkA": 0, "shrinkB": 0},
        )
    axes.set_xlim(0, scale.slots)
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


def _draw_block(axes: Axes, centre: float, block: Block, scale: BlockScale) -> Edges:
    """Draw a block: a box for images, a strip for a list of numbers."""
    if len(block.shape) == 3:
        n_channels, n_rows, n_columns = block.shape
        height = max(0.8 * min(n_rows / scale.height, 1.2), 0.03)
        width = 0.08 + 0.32 * math.log2(1 + n_channels) / math.log2(1 + scale.channels)
        depth = 0.22 * min(n_columns / scale.width, 1.2)
    else:
        n_pixels = scale.height * scale.width
        part = math.log2(1 + math.prod(block.shape)) / math.log2(1 + n_pixels)
        height, width, depth = 0.9 * min(part, 1.0), 0.14, 0.0
    rise = 0.6 * depth
    left, bottom = centre - (width + depth) / 2, 0.5 - (height + rise) / 2
    right, top = left + width, bottom + height
    back, back_bottom, back_top = right + depth, bottom + rise, top + rise
    front = [(left, bottom), (right, bottom), (right, top), (left, top)]
    roof = [(left, top), (right, top), (back, back_top), (left + depth, back_top)]
    side = [(right, bottom), (right, top), (back, back_top), (back, back_bottom)]
    colour = _COLOURS[block.kind]
    for corners, shade in ((front, 1.0), (roof, 0.75), (side, 0.5)):
        axes.add_patch(
            Polygon(corners, facecolor=colour, edgecolor="0.2", linewidth=0.8, alpha=shade)
        )
    return Edges(left, back)
