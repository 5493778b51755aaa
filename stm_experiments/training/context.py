"""Training a network to say of a patch from which image it was cut."""

from collections.abc import Mapping
from typing import Any, ClassVar

from lightning.pytorch import Trainer
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.batch import Batch
from stm_experiments.core.results.measures import Measure
from stm_experiments.data.module import PatchData
from stm_experiments.models.interfaces import Contextual
from stm_experiments.training.reconstruction import Reconstruction

MAPPED = 1000  # training images that make the map


class Context(Reconstruction):
    """Trains a network to predict where the image of a patch lies on a map of images.

    The loss is the mean squared error of the coordinates, of mean square 1 over images: 1 is a
    guess, 0 is certainty. No label is used. The decoder learns beside it to draw the patch from the
    code, which it does not change; its error is not a part of ``val/loss``, which chooses the best
    epoch.

    The first training images make the map. That is done once, before the first step; a resumed run,
    or one that starts from another model, keeps what the model file has.

    Args:
        net: The network to train, such as a ``ContextCode``.
        optimizer: As for ``Reconstruction``.
        scheduler: As for ``Reconstruction``.
    """

    loss_label = "mean squared error of the coordinates (1: a guess)"
    measures: ClassVar[Mapping[str, Measure]] = {
        "decoder": Measure("mean squared error of the decoded patch", "per px"),
    }
    net: Contextual

    def setup(self, stage: str) -> None:
        """Make the map of images.

        Raises:
            ValueError: If there are too few training images.
        """
        super().setup(stage)
        make_map(self.net, self.trainer)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean squared error of the predicted coordinates."""
        return F.mse_loss(self.net.encode(batch.noisy), self.targets_of(batch))

    def targets_of(self, batch: Batch) -> Tensor:
        """Return the coordinates of the images of the patches, [B, D]."""
        return self.net.targets(batch.truth["description"])

    def validation_step(self, batch: Batch, _: int) -> None:
        """Log ``val/loss``, and ``val/decoder``, the error of the decoder."""
        drawn = F.mse_loss(self.net(batch.noisy), batch.noisy, reduction="sum")
        drawn = drawn / max(batch.noisy.numel(), 1)  # a small last batch may have no patch
        self.log_validation(batch, loss=self.process_loss(batch), decoder=drawn)

    def training_step(self, batch: Batch, index: int) -> Any:
        """Return the loss of a step, with that of the decoder."""
        if not len(batch.noisy):
            return super().training_step(batch, index)
        code = self.net.encode(batch.noisy)
        drawn = self.net.decode(code.detach())
        loss = F.mse_loss(code, self.targets_of(batch)) + F.mse_loss(drawn, batch.noisy)
        return self.weighted(loss, batch)


def make_map(net: Contextual, trainer: Trainer) -> None:
    """Make the network's map of images from the first training images, unless it has one.

    Raises:
        ValueError: If there are too few of them, or they have no descriptions.
    """
    if net.targets.is_fitted:
        return
    data = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, PatchData)
    net.targets.fit(data.descriptions(MAPPED))
