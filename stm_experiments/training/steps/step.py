"""What is recorded of a step of the optimiser."""

from typing import NamedTuple

from torch import Tensor


class Step(NamedTuple):
    """A step of the optimiser.

    Attributes:
        loss: The loss before it.
        patches: Patches of the batch.
        rate: The learning rate.
    """

    loss: Tensor
    patches: int
    rate: float
