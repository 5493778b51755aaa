"""What one core can do, and how much of it the training of CAE-A uses: the roofline.

A core computes no faster than its peak, and no faster than memory brings the numbers: bandwidth
times intensity, the floating-point operations per byte that is read or written (Williams,
Waterman & Patterson, "Roofline", 2009).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from stm_experiments.benchmarks.throughput.loops import WINDOW, call_rate
from stm_experiments.figures.canvas import CATEGORY_COLOURS, new_figure
from stm_experiments.models import CAEA
from stm_experiments.models.fused.lanes import LANES

SIDE = 1024  # of the matrices that are multiplied
COPIED = 2**26  # numbers that are copied: far more than the cache holds
BATCH = 256  # patches of the step whose operations and bytes are counted
LABELS = {
    "bare": "bare eager loop",
    "samples": "Dataset and DataLoader",
    "compile": "torch.compile",
    "layers": "our layers in PyTorch",
    "step": "our compiled step",
    "end_to_end": "our training end to end",
}
FUSED = ("step", "end_to_end")  # the loops that take the compiled step


class Roofs(NamedTuple):
    """The limits of one core, and the costs of a patch, forward and backward.

    Attributes:
        peak: Of a product of matrices, 10^9 operations a second.
        bandwidth: Of a copy, 10^9 bytes a second, read and written.
        operations: Of a patch.
        kernel_bytes: Bytes of a patch if each kernel of PyTorch reads its inputs from memory and
            writes its outputs to it.
        fused_bytes: Bytes of a patch if only patches, weights and gradients move.
    """

    peak: float
    bandwidth: float
    operations: float
    kernel_bytes: float
    fused_bytes: float


class ByteCounter(TorchDispatchMode):
    """Adds up the bytes of what kernels read and write; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a kernel and count."""
        found = func(*args, **(kwargs or {}))
        aliases = [each.alias_info for each in func._schema.returns]
        if not any(alias is not None and not alias.is_write for alias in aliases):
            tensors = [each for each in tree_leaves((args, found)) if isinstance(each, Tensor)]
            self.total += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return found


def measure_roofs(seconds: float) -> Roofs:
    """Measure the limits of this core.

    Args:
        seconds: CPU time of each measurement.
    """
    matrix, out = torch.randn(SIDE, SIDE), torch.empty(SIDE, SIDE)
    products = call_rate(lambda: torch.mm(matrix, matrix, out=out), seconds)
    source, target = torch.ones(COPIED), torch.empty(COPIED)
    copies = call_rate(lambda: target.copy_(source), seconds)
    net, patches = CAEA(), torch.randn(BATCH, 1, WINDOW, WINDOW)
    with FlopCounterMode(display=False) as operations, ByteCounter() as moved:
        torch.autograd.backward(F.mse_loss(net(patches), patches))
    # Weights and two moments of Adam are read and written, and gradients once lane by lane.
    parameters = sum(weight.numel() for weight in net.parameters())
    return Roofs(
        peak=2e-9 * SIDE**3 * products,
        bandwidth=8e-9 * COPIED * copies,
        operations=operations.get_total_flops() / BATCH,
        kernel_bytes=moved.total / BATCH,
        fused_bytes=4 * (WINDOW**2 + parameters * (6 + 2 * LANES) / BATCH),
    )


def roofline_figure(roofs: Roofs, numbers: Mapping[str, float], batch: int) -> Figure:
    """Draw the speeds of the loops below the limits of the core.

    Args:
        roofs: The limits and costs.
        numbers: Patches per CPU second, ``step_speed_256`` and so on.
        batch: Patches of a step.
    """
    bound = 1e9 * roofs.peak / roofs.operations
    figure = new_figure(
        9,
        5.5,
        f"CAE-A on one core, batches of {batch}",
        f"A patch costs {roofs.operations / 1e6:.2f} million operations, forward and backward. "
        f"Kernel by kernel it moves {roofs.kernel_bytes / 1000:.0f} kB, in the compiled step "
        f"{roofs.fused_bytes / 1000:.1f} kB. The peak of the core allows {bound:,.0f} "
        "patches a second. Legend: patches per CPU second, and their ratio to the bare loop. "
        "torch.compile joins some kernels, so that its true point lies further right.",
    )
    axes = figure.subplots()
    intensities = np.geomspace(1, 1000, 50)
    limit = np.minimum(roofs.peak, roofs.bandwidth * intensities)
    axes.loglog(intensities, limit, color="0.3")
    axes.text(300, 1.1 * roofs.peak, f"peak {roofs.peak:.0f}", ha="center", color="0.3")
    axes.text(1.7, 1.5 * roofs.bandwidth, f"memory {roofs.bandwidth:.0f} GB/s", color="0.3")
    axes.set_ylim(2, 1.6 * roofs.peak)
    for place, name in enumerate(LABELS):
        moved = roofs.fused_bytes if name in FUSED else roofs.kernel_bytes
        speed = numbers[f"{name}_speed_{batch}"]
        axes.plot(
            roofs.operations / moved,
            1e-9 * speed * roofs.operations,
            "o",
            color=CATEGORY_COLOURS[place],
            label=f"{LABELS[name]}: {speed:,.0f}/s ({numbers[f'{name}_ratio_{batch}']:.1f})",
        )
    axes.set_xlabel("operations per byte of memory traffic")
    axes.set_ylabel("10$^9$ operations a second")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)
    return figure
