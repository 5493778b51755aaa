"""Steps of Adam as one CUDA graph: the host starts once what else were a thousand small kernels.

Not measured on a GPU yet: ``benchmarks.gpu`` does that. On a CPU the same steps are a plain loop.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from stm_experiments.core.batch import Batch
from stm_experiments.models.interfaces import Network

Loss = Callable[..., Tensor]  # of flat weights [P] and patches [B, 1, h, w]: one number


class Recording(NamedTuple):
    """A captured graph with the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    losses: Tensor


class AdamSteps:
    """Steps of Adam on one network, or on R networks of one shape side by side.

    Args:
        loss: The loss of one network.
        weights: Flat weights, [P] or [R, P]; the steps change them in place.
        decay: Adam's second beta.
        epsilon: Adam's epsilon.

    Attributes:
        means: Means of the gradients, of the shape of the weights.
        squares: Means of their squares.
    """

    def __init__(self, loss: Loss, weights: Tensor, decay: float, epsilon: float) -> None:
        self.weights = weights
        self.means, self.squares = torch.zeros_like(weights), torch.zeros_like(weights)
        self._gradient = grad_and_value(loss)
        if weights.ndim == 2:
            self._gradient = vmap(self._gradient)
        self._decay, self._epsilon = decay, epsilon
        self._recordings: dict[torch.Size, Recording] = {}

    def __call__(self, table: Tensor, *patches: Tensor) -> Tensor:
        """Take K steps.

        Args:
            table: Rows of ``adam_row``, [K, 3].
            patches: What the loss takes, each [K, B, 1, h, w] or [K, R, B, 1, h, w].

        Returns:
            The loss before each step, [K] or [K, R].
        """
        if self.weights.device.type == "cpu":
            return self._take(table, *patches)
        shape = patches[0].shape
        if shape not in self._recordings:
            self._recordings[shape] = self._record(table, *patches)
        recording = self._recordings[shape]
        for kept, given in zip(recording.inputs, (table, *patches), strict=True):
            kept.copy_(given, non_blocking=True)
        recording.graph.replay()
        return recording.losses.clone()

    def _take(self, table: Tensor, *patches: Tensor) -> Tensor:
        losses = []
        for row, *batch in zip(table, *patches, strict=True):
            gradients, loss = self._gradient(self.weights, *batch)
            rate, share, root = row
            self.means.lerp_(gradients, share)
            self.squares.mul_(self._decay).addcmul_(gradients, gradients, value=1 - self._decay)
            divisor = (self.squares.sqrt() / root).add_(self._epsilon)
            self.weights.sub_(rate * self.means / divisor)
            losses.append(loss)
        return torch.stack(losses)

    def _record(self, *inputs: Tensor) -> Recording:
        """Capture the steps, after two passes that load kernels and are undone."""
        kept = [given.clone() for given in inputs]
        state = (self.weights, self.means, self.squares)
        before = [tensor.clone() for tensor in state]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                self._take(*kept)
        torch.cuda.current_stream().wait_stream(stream)
        for tensor, value in zip(state, before, strict=True):
            tensor.copy_(value)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            losses = self._take(*kept)
        return Recording(graph, kept, losses)


def adam_row(group: dict[str, Any], step: int) -> list[float]:
    """Return the numbers of Adam that differ from step to step.

    They are on the device because schedules change the learning rate and, as ``OneCycleLR``, the
    first beta, both of which a graph would keep as they were when it was captured.

    Args:
        group: Settings of the optimiser.
        step: Number of the step, from 1.

    Returns:
        The learning rate over the bias of the means, the share of the new gradient in the means,
        and the root of the bias of the squares.
    """
    rate, (first, second) = group["lr"], group["betas"]
    return [rate / (1 - first**step), 1 - first, math.sqrt(1 - second**step)]


def flat_loss(net: nn.Module) -> Loss:
    """Return the mean squared error, a function of flat weights, inputs and, if any, targets."""
    shapes = {name: weight.shape for name, weight in net.named_parameters()}
    sizes = [shape.numel() for shape in shapes.values()]

    def loss(weights: Tensor, noisy: Tensor, target: Tensor | None = None) -> Tensor:
        pieces = zip(shapes.items(), weights.split(sizes), strict=True)
        named = {name: piece.view(shape) for (name, shape), piece in pieces}
        return F.mse_loss(
            functional_call(net, named, (noisy,)), noisy if target is None else target
        )

    return loss


class GraphStepper:
    """Takes the steps of a stack as one graph.

    The weights of the network and the moments of the optimiser become parts of flat vectors, so
    that validation and checkpoints see them as ever.

    Args:
        net: The network.
        optimizer: Adam on its weights, perhaps with the moments of a run that is resumed.
        target_of: Returns the patches that the network should output.

    Raises:
        ValueError: If the optimiser or the network is none whose steps are written here.
    """

    def __init__(
        self, net: Network, optimizer: Optimizer, target_of: Callable[[Batch], Tensor]
    ) -> None:
        check_graph(net, optimizer)
        assert isinstance(net, nn.Module)
        self._optimizer, self._target_of = optimizer, target_of
        group, parameters = optimizer.param_groups[0], list(net.parameters())
        weights = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self._steps = AdamSteps(flat_loss(net), weights, group["betas"][1], group["eps"])
        self._number = torch.zeros(())
        self._table: list[list[float]] = []
        self._batches: list[Batch] = []
        first = 0
        for parameter in parameters:
            part = slice(first, first + parameter.numel())
            first = part.stop
            parameter.data = weights[part].view(parameter.shape)
            self._adopt(parameter, part)

    def _adopt(self, parameter: Tensor, part: slice) -> None:
        """Make the moments of a parameter a part of the flat ones."""
        known = self._optimizer.state[parameter]
        state = {"step": self._number}
        for name, flat in (("exp_avg", self._steps.means), ("exp_avg_sq", self._steps.squares)):
            state[name] = flat[part].view(parameter.shape)
        for name, value in known.items():
            state[name].copy_(value)
        self._optimizer.state[parameter] = state

    def take(self, batch: Batch) -> None:
        """Note a step on a batch with the optimiser's settings of now."""
        self._optimizer.step()  # without gradients it does nothing; schedules ask for the call
        self._number += 1
        self._table.append(adam_row(self._optimizer.param_groups[0], int(self._number)))
        self._batches.append(batch)

    def losses(self) -> Tensor:
        """Take the noted steps, and return their losses, [K]."""
        device = self._steps.weights.device
        table = torch.tensor(self._table)
        if device.type == "cuda":
            table = table.pin_memory().to(device, non_blocking=True)
        sizes = [len(batch.noisy) for batch in self._batches]
        full = sizes.count(sizes[0])
        losses = [
            self._steps(table[part], *self._patches(self._batches[part]))
            for part in (slice(full), slice(full, None))
            if self._batches[part]
        ]
        self._table, self._batches = [], []
        return torch.cat(losses)

    def _patches(self, batches: list[Batch]) -> list[Tensor]:
        """Return the inputs of equal batches and, if they are others, their targets."""
        noisy = torch.stack([batch.noisy for batch in batches])
        targets = [self._target_of(batch) for batch in batches]
        return [noisy] if targets[0] is batches[0].noisy else [noisy, torch.stack(targets)]


def check_graph(net: Network, optimizer: Optimizer) -> None:
    """Refuse what the steps of this module are not written for.

    Raises:
        ValueError: If the network keeps statistics, or the optimiser is not plain Adam.
    """
    if list(net.buffers()):
        raise ValueError(f"model.fused=graph is not written for {net.label}: it keeps statistics")
    group = optimizer.param_groups[0]
    extras = [name for name in ("weight_decay", "amsgrad", "maximize") if group.get(name)]
    if type(optimizer) is not Adam or extras or len(optimizer.param_groups) > 1:
        raise ValueError(
            "model.fused=graph is written for torch.optim.Adam without weight decay, amsgrad and "
            "maximize"
        )
