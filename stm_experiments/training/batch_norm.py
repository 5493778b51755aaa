"""Batch normalisation that is shared by all processes of a run."""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function

from stm_experiments.models.interfaces import Network


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the patches of all processes.

    PyTorch's own ``SyncBatchNorm`` does this on GPUs only; this one does it anywhere, and its
    state has the same names as that of ``BatchNorm2d``.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps [B, C, h, w], B may be 0 -> the same, normalised per channel."""
        if not self.training:
            return super().forward(maps)
        count = maps.new_tensor([maps.numel() // maps.shape[1]])
        sums = Sum.apply(torch.cat([maps.sum((0, 2, 3)), count]))
        total = sums[-1].detach()
        mean = sums[:-1] / total
        centred = maps - mean[:, None, None]
        variance = Sum.apply(centred.square().sum((0, 2, 3))) / total
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale[:, None, None] + self.bias[:, None, None]


class Sum(Function):
    """Sum of a tensor over all processes, through which gradients pass."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """Adds up the processes' tensors."""
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Each process's tensor acts on the losses of all."""
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def share_batch_norm(net: Network) -> None:
    """Makes every ``BatchNorm2d`` of a network normalise over the patches of all processes."""
    for module in net.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d
