"""Training layer by layer."""

from collections.abc import Callable

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

    In the first share of all steps the layers take turns, equally long, the outermost first: layer
    k and its partner learn to make, of what the layers before make of the noisy patch, what these
    make of the clean one (denoising autoencoders of autoencoders: Vincent et al., ICML 2008, with
    the data's own noise in the place of an artificial one). The layers before rest. Afterwards all
    layers learn together what ``Reconstruction`` does.

    Which layer's turn it is follows from the number of the step alone, which the trainer keeps: a
    run that is resumed goes on in its stage. Several processes need
    ``trainer.strategy=ddp_find_unused_parameters_true``, as most layers wait most of the time.

    Args:
        net: A ``StackedAutoencoder``.
        optimizer: Takes the parameters.
        scheduler: As for ``Reconstruction``, over all stages.
        target: As for ``Reconstruction``; ``noisy`` is an autoencoder that copies.
        pretraining: Share of all steps in which the layers take turns, 0 to 1.

    Raises:
        ValueError: If the target or the share is none of these.
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
        """Turns the share into steps."""
        self._pretraining_steps = round(self.pretraining * self.steps_in_all())

    def layer_at(self, step: int) -> int | None:
        """Which layer learns in a step, from 0 on; None: all of them."""
        if step >= self._pretraining_steps:
            return None
        return step * len(self.net.encoder) // self._pretraining_steps

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """One step's loss: of the layer whose turn it is, or of all."""
        layer = self.layer_at(self.trainer.global_step)
        if layer is None or not len(batch.noisy):
            return super().training_step(batch, index)
        return self.shared_out(self.layer_loss(batch, layer), batch)

    def layer_loss(self, batch: Batch, layer: int) -> Tensor:
        """Mean squared error of a layer and its partner, counted from 0; both go on from others."""
        wanted = self.wanted(batch)
        with torch.no_grad():
            given = self.net.encode(batch.noisy, layer)
            ideal = self.net.encode(wanted, layer)
        made = self.net.undo(layer, torch.relu(self.net.encoder[layer](given)))
        return F.mse_loss(made, ideal)
