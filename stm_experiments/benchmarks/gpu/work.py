"""The steps that are compared: one by one as today, and as graphs of many."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stm_experiments.training.steps.graph import AdamSteps, adam_row, flat_loss

RATE = 1e-3
GROUP = {"lr": RATE, "betas": (0.9, 0.999)}


def waves(count: int, device: torch.device) -> Tensor:
    """Return patches [count, 1, 17, 17] of noisy waves in random phases."""
    draws = torch.Generator().manual_seed(0)
    rows = torch.linspace(0, 6.28, 17)
    phases = 6.28 * torch.rand(count, 1, 1, 1, generator=draws)
    noise = 0.1 * torch.randn(count, 1, 17, 17, generator=draws)
    return (torch.sin(rows[:, None] + 0.5 * rows + phases) + noise).to(device)


def eager_steps(net: nn.Module, patches: Tensor) -> Tensor:
    """Take a step for each batch of [K, B, 1, 17, 17], kernel by kernel; return the losses, [K]."""
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    losses = []
    for batch in patches:
        optimizer.zero_grad()
        loss = F.mse_loss(net(batch), batch)
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def graph_steps(
    net: nn.Module, device: torch.device, runs: int | None = None
) -> Callable[[Tensor], Tensor]:
    """Return a function that takes a step for each batch and returns the losses.

    Args:
        net: The network at its start.
        device: Where it trains.
        runs: Networks that train side by side, each on its own patches; None: one, on patches
            [K, B, 1, 17, 17] instead of [K, R, B, 1, 17, 17].
    """
    weights = torch.cat([weight.detach().flatten() for weight in net.to(device).parameters()])
    if runs is not None:
        weights = weights.repeat(runs, 1)
    steps, done = AdamSteps(flat_loss(net), weights, 0.999, 1e-8), 0

    def take(patches: Tensor) -> Tensor:
        nonlocal done
        rows = [adam_row(GROUP, done + 1 + number) for number in range(len(patches))]
        done += len(patches)
        return steps(torch.tensor(rows).to(device), patches)

    return take
