"""What is recorded of the steps of the optimiser in one call by the trainer."""

from typing import NamedTuple

from torch import Tensor


class Steps(NamedTuple):
    """Steps of the optimiser.

    Attributes:
        losses: The loss before each step, [K].
        patches: Patches of each batch, [K].
        rate: The learning rate of the last step.
    """

    losses: Tensor
    patches: Tensor
    rate: float
