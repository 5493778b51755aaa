"""The mean squared error of CAE-A in PyTorch, with gradients from the compiled step."""

import copy
from typing import Any

import torch
from torch import Tensor

from stm_experiments.models.fused.cae_a import (
    Activations,
    Weights,
    memory_sizes,
    squared_error,
)
from stm_experiments.models.fused.lanes import LANES, Array
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
        self._allocate()

    def __deepcopy__(self, copied: dict[int, Any]) -> "FusedLoss":
        """Return a loss of copied parameters, with memory of its own."""
        twin = copy.copy(self)
        twin.parameters = copy.deepcopy(self.parameters, copied)
        twin._allocate()
        return twin

    def _allocate(self) -> None:
        """Allocate memory; the compiled code needs the alignment of PyTorch's, not of NumPy's."""
        sizes = memory_sizes(latent=len(self.parameters[Weights._fields.index("to_code_bias")]))
        self._memory = Activations(**{name: _zeros(size) for name, size in sizes.items()})
        self._flat_weights = torch.zeros(sum(self._sizes))
        self._weights = Weights(*(part.numpy() for part in self._flat_weights.split(self._sizes)))
        self._all_sums = torch.zeros(sum(self._sizes), LANES)
        self._sums = Weights(
            *(part.flatten().numpy() for part in self._all_sums.split(self._sizes))
        )

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
        return self._mean_error(noisy, target, _NO_SUMS)

    def with_gradients(self, noisy: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss, and its gradients in the order of the parameters, flat."""
        self._all_sums.zero_()
        loss = self._mean_error(noisy, target, self._sums)
        return loss, self._all_sums.sum(1) * (2 / noisy.numel())

    def set_gradients(self, noisy: Tensor, target: Tensor) -> Tensor:
        """Write the gradients of the loss to the parameters, and return the loss."""
        loss, gradients = self.with_gradients(noisy, target)
        for parameter, piece in zip(self.parameters, gradients.split(self._sizes), strict=True):
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            parameter.grad.copy_(piece.view(parameter.shape))
        return loss

    def split(self, gradients: Tensor) -> list[Tensor]:
        """Return flat gradients in the shapes and memory layouts of the parameters."""
        pieces = gradients.split(self._sizes)
        return [
            torch.empty_like(parameter).copy_(piece.view(parameter.shape))
            for piece, parameter in zip(pieces, self.parameters, strict=True)
        ]

    @torch.no_grad()
    def _mean_error(self, noisy: Tensor, target: Tensor, sums: Weights) -> Tensor:
        torch.cat([parameter.flatten() for parameter in self.parameters], out=self._flat_weights)
        error = squared_error(
            noisy.detach().flatten(1).numpy(),
            target.detach().flatten(1).numpy(),
            self._weights,
            self._memory,
            sums,
        )
        return torch.tensor(error / noisy.numel(), dtype=torch.float32)


def _zeros(size: int) -> Array:
    """Return zeros in the memory of PyTorch."""
    zeros: Array = torch.zeros(size).numpy()
    return zeros


_NO_SUMS = Weights(*(_zeros(0) for _ in Weights._fields))


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
