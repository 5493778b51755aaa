"""Training layer after layer, then as a whole."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stm_experiments.core.batch import Batch
from stm_experiments.models import StackedAutoencoder
from stm_experiments.training.reconstruction import Reconstruction


class Stacked(Reconstruction):
    """Trains a ``StackedAutoencoder`` layer after layer, and then as a whole.

    In the first share of all steps, the layers are trained one after the other for equally long
    times, the outermost first. Layer k and its partner learn to map the outputs of layer k - 1 for
    the noisy patch to those for the clean patch, while the other layers are fixed (stacked
    denoising autoencoders, Vincent et al., ICML 2008; here with the noise of the data instead of
    artificial noise). Afterwards all layers are trained together as in ``Reconstruction``.

    The layer follows from the number of the step, which the trainer stores: a resumed run continues
    in its stage. Several processes need ``trainer.strategy=ddp_find_unused_parameters_true``, as
    most layers are fixed most of the time.

    Args:
        net: The network to train.
        optimizer: As for ``Reconstruction``.
        scheduler: As for ``Reconstruction``, over all stages.
        target: As for ``Reconstruction``.
        pretraining: Share of all steps in which single layers are trained, 0 to 1.

    Raises:
        ValueError: If the target or the share has another value.
    """

    net: StackedAutoencoder

    def __init__(
        self,
        net: StackedAutoencoder,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
        target: str = "clean",
        pretraining: float = 0.1,
    ) -> None:
        super().__init__(net, optimizer, scheduler, target)
        if not 0 <= pretraining <= 1:
            raise ValueError(f"model.pretraining is a share from 0 to 1, not {pretraining!r}")
        self.pretraining = pretraining
        self._pretraining_steps = 0

    def on_fit_start(self) -> None:
        """Convert the share to a number of steps."""
        self._pretraining_steps = round(self.pretraining * self.total_steps())

    def layer_at(self, step: int) -> int | None:
        """Return the layer that is trained in a step, counted from 0; None: all layers."""
        if step >= self._pretraining_steps:
            return None
        return step * len(self.net.encoder) // self._pretraining_steps

    def training_step(self, batch: Batch, index: int) -> Any:
        """Return the loss of a step: that of one layer, or of all."""
        layer = self.layer_at(self.trainer.global_step)
        if layer is None or not len(batch.noisy):
            return super().training_step(batch, index)
        return self.weighted(self.layer_loss(batch, layer), batch)

    def layer_loss(self, batch: Batch, layer: int) -> Tensor:
        """Return the mean squared error of a layer, counted from 0, and its partner."""
        target = self.target_of(batch)
        with torch.no_grad():
            noisy_inputs = self.net.encode(batch.noisy, layer)
            clean_inputs = self.net.encode(target, layer)
        outputs = torch.relu(self.net.encoder[layer](noisy_inputs))
        return F.mse_loss(self.net.undo(layer, outputs), clean_inputs)
