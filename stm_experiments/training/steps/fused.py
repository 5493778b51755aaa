"""The choice between the layers of PyTorch and the compiled step of CAE-A."""

import importlib.util
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from lightning import Trainer
from torch.optim import Adam, AdamW, Optimizer

from stm_experiments.models.interfaces import Network
from stm_experiments.models.networks.cae_a import CAEA

if TYPE_CHECKING:
    from stm_experiments.models.fused.loss import FusedLoss

log = logging.getLogger(__name__)


def choose_fused(
    choice: bool | str, net: Network, loss: str, trainer: Trainer
) -> "FusedLoss | None":
    """Return the compiled loss of a network, or None if PyTorch computes it.

    Args:
        choice: ``auto``: where it is possible; True: always; False: never.
        net: The network.
        loss: Name of the loss.
        trainer: Who trains it.

    Raises:
        ValueError: If the choice is True and it is not possible.
    """
    if choice is False:
        return None
    obstacle = find_obstacle(net, loss, trainer)
    if obstacle is not None:
        if choice is True:
            raise ValueError(f"model.fused=true is not possible: {obstacle}")
        log.info("%s trains layer by layer in PyTorch: %s", net.label, obstacle)
        return None
    from stm_experiments.models.fused.cache import is_kept
    from stm_experiments.models.fused.loss import FusedLoss

    assert isinstance(net, CAEA)
    if not is_kept():
        log.info("the fused step of %s is compiled, once on this machine (20 s)", net.label)
    return FusedLoss(net)


def fast_options(optimizer: Callable[..., Optimizer]) -> dict[str, bool]:
    """Return the option of Adam that updates all weights in one call, unless it is set already."""
    if not isinstance(optimizer, partial) or optimizer.func not in (Adam, AdamW):
        return {}
    return {} if {"fused", "foreach"} & optimizer.keywords.keys() else {"fused": True}


def find_obstacle(net: Network, loss: str, trainer: Trainer) -> str | None:
    """Return why a network cannot be trained by the compiled step; None if it can."""
    if type(net) is not CAEA:
        return f"the fused step is written for CAE-A, not for {net.label}"
    if loss != "mse":
        return f"the fused step has the loss mse, not {loss}"
    if trainer.strategy.root_device.type != "cpu":
        return f"the fused step is written for the CPU, not for {trainer.strategy.root_device.type}"
    if trainer.precision != "32-true":
        return f"the fused step computes in 32-true, not in {trainer.precision}"
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed (pip install 'stm_experiments[fast]')"
    return None
