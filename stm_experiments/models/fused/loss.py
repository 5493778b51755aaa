"""The mean squared error of CAE-A in PyTorch, with gradients from the compiled step."""

from typing import Any

import torch
from torch import Tensor

from stm_experiments.models.fused.cae_a import (
    Activations,
    Weights,
    memory_sizes,
    squared_error,
)
from stm_experiments.models.fused.lanes import LANES
from stm_experiments.models.fused.layout import PATCH
from stm_experiments.models.networks.cae_a import CAEA


class FusedLoss:
    """The mean squared error of the reconstructions of a CAE-A on the CPU.

    It equals ``F.mse_loss(net(noisy), target)`` to rounding and is differentiable in the weights.

    Args:
        net: The network, in float32 on the CPU; its weights are read at each call.
    """

    def __init__(self, net: CAEA) -> None:
        self.parameters = list(net.parameters())
        self._sizes = [parameter.numel() for parameter in self.parameters]
        latent = len(self.parameters[Weights._fields.index("to_code_bias")])
        # The compiled code needs the alignment of PyTorch's memory.
        self._memory = {name: torch.zeros(size) for name, size in memory_sizes(latent).items()}
        self._sums = torch.zeros(sum(self._sizes), LANES)

    def __call__(self, noisy: Tensor, target: Tensor) -> Tensor:
        """Return the loss of patches [B, 1, 17, 17] against a target of the same shape.

        Raises:
            ValueError: If the shapes are others.
        """
        if noisy.shape[1:] != (1, PATCH, PATCH) or target.shape != noisy.shape:
            raise ValueError(
                f"CAE-A takes patches [B, 1, {PATCH}, {PATCH}] and targets of the same shape, not "
                f"{list(noisy.shape)} and {list(target.shape)}"
            )
        if torch.is_grad_enabled():
            loss: Tensor = _WithGradients.apply(self, noisy, target, *self.parameters)  # type: ignore[no-untyped-call]
            return loss
        return self._mean_error(noisy, target, self._sums[:0])

    def with_gradients(self, noisy: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss, and its gradients in the order of the parameters, flat."""
        self._sums.zero_()
        loss = self._mean_error(noisy, target, self._sums)
        return loss, self._sums.sum(1) * (2 / noisy.numel())

    def split(self, gradients: Tensor) -> list[Tensor]:
        """Return flat gradients in the shapes and memory layouts of the parameters."""
        pieces = gradients.split(self._sizes)
        return [
            torch.empty_like(parameter).copy_(piece.view(parameter.shape))
            for piece, parameter in zip(pieces, self.parameters, strict=True)
        ]

    def _mean_error(self, noisy: Tensor, target: Tensor, sums: Tensor) -> Tensor:
        weights = torch.cat([parameter.detach().flatten() for parameter in self.parameters])
        sizes = self._sizes if len(sums) else [0] * len(self._sizes)
        error = squared_error(
            noisy.detach().flatten(1).numpy(),
            target.detach().flatten(1).numpy(),
            Weights(*(part.numpy() for part in weights.split(self._sizes))),
            Activations(**{name: memory.numpy() for name, memory in self._memory.items()}),
            Weights(*(part.flatten().numpy() for part in sums.split(sizes))),
        )
        return torch.tensor(error / noisy.numel(), dtype=torch.float32)


class _WithGradients(torch.autograd.Function):
    """The loss, whose gradients are computed together with it."""

    @staticmethod
    def forward(context: Any, step: FusedLoss, noisy: Tensor, target: Tensor, *_: Tensor) -> Tensor:
        """Compute the loss and keep its gradients."""
        loss, gradients = step.with_gradients(noisy, target)
        context.step = step
        context.save_for_backward(gradients)
        return loss

    @staticmethod
    def backward(context: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients, times the gradient of what was computed with the loss."""
        (gradients,) = context.saved_tensors
        return None, None, None, *context.step.split(gradients * scale)
