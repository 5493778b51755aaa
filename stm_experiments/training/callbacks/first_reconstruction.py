"""The reconstructions after the first epoch (the paper's Figure 13)."""

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from stm_experiments.models.interfaces import Network


class FirstReconstruction(Callback):
    """Records the reconstructions of a few patches after the first epoch.

    Args:
        net: The network that is trained.
        patches: The patches [B, 1, h, w].

    Attributes:
        reconstructions: [B, 1, h, w]; None before the end of the first epoch.
    """

    def __init__(self, net: Network, patches: Tensor) -> None:
        self.net = net
        self.patches = patches
        self.reconstructions: Tensor | None = None

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Reconstruct the patches once."""
        if self.reconstructions is None:
            was_training = self.net.training
            self.net.eval()
            with torch.inference_mode():
                self.reconstructions = self.net(self.patches.to(module.device)).cpu().clone()
            self.net.train(was_training)

    def state_dict(self) -> dict[str, Any]:
        """Return the reconstructions, for the checkpoint."""
        return {"reconstructions": self.reconstructions}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the reconstructions of a checkpoint."""
        self.reconstructions = state_dict["reconstructions"]
