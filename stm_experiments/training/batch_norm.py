"""Batch normalisation over the patches of all processes of a run."""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function

from stm_experiments.models.interfaces import Network


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the patches of all processes.

    PyTorch's ``SyncBatchNorm`` works on GPUs only; this class works on every device, and its state
    has the names of ``BatchNorm2d``.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise feature maps [B, C, h, w] per channel; B may be 0."""
        if not self.training:
            return super().forward(maps)
        count = maps.new_tensor([maps.numel() // maps.shape[1]])
        sums = sum_over_processes(torch.cat([maps.sum((0, 2, 3)), count]))
        total = sums[-1].detach()
        mean = sums[:-1] / total
        centred = maps - mean[:, None, None]
        variance = sum_over_processes(centred.square().sum((0, 2, 3))) / total
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        normalised: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalised


def sum_over_processes(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; gradients pass."""
    total: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]
    return total


class _Sum(Function):
    """The sum of a tensor over all processes, as a differentiable function."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """Add up the tensors of the processes."""
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Add up the gradients: the tensor of each process acts on the losses of all."""
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def share_batch_norm(net: Network) -> None:
    """Let every ``BatchNorm2d`` of a network normalise over the patches of all processes."""
    for module in net.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d
