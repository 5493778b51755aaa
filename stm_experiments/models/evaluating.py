"""Networks for a while in evaluation mode."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from stm_experiments.models.interfaces import Network


@contextmanager
def evaluating(networks: Iterable[Network], device: torch.device | str = "cpu") -> Iterator[None]:
    """Move networks to a device and switch them to evaluation mode, without gradients.

    The training flag of each of their modules is restored at the end, also after an error.
    """
    nets = list(networks)
    flags = [(module, module.training) for net in nets for module in net.modules()]
    try:
        for net in nets:
            net.to(device).eval()
        with torch.inference_mode():
            yield
    finally:
        for module, training in flags:
            module.training = training
