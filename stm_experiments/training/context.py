"""Training a network to say of a patch from which image it was cut."""

from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.batch import Batch
from stm_experiments.data.module import PatchData
from stm_experiments.models.interfaces import Contextual
from stm_experiments.training.reconstruction import Reconstruction

WHITENED = 512  # training images whose descriptions define the whitened numbers


class Context(Reconstruction):
    """Trains a network to predict the whitened description of a patch's image.

    The loss is the mean squared error of the ten numbers, of variance 1 over images: 1 is a guess,
    0 is certainty. No label is used. The decoder learns beside it to draw the patch from the code,
    which it does not change; its error is not a part of ``val/loss``, which chooses the best epoch.

    The description is whitened by the first training images. That is done once, before the first
    step; a resumed run, or one that starts from another model, keeps what the model file has.

    Args:
        net: The network to train, such as a ``ContextCode``.
        optimizer: As for ``Reconstruction``.
        scheduler: As for ``Reconstruction``.
    """

    net: Contextual

    def setup(self, stage: str) -> None:
        """Whiten the description.

        Raises:
            ValueError: If there are too few training images.
        """
        super().setup(stage)
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, PatchData)
        if not self.net.whitening.is_fitted:
            self.net.whitening.fit(data.descriptions(WHITENED))

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean squared error of the predicted descriptions."""
        return F.mse_loss(self.net.encode(batch.noisy), self.description_of(batch))

    def description_of(self, batch: Batch) -> Tensor:
        """Return the whitened descriptions of the images of the patches, [B, D]."""
        whitened: Tensor = self.net.whitening(batch.truth["description"])
        return whitened

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of a step, with that of the decoder."""
        if not len(batch.noisy):
            return super().training_step(batch, index)
        code = self.net.encode(batch.noisy)
        drawn = self.net.decode(code.detach())
        loss = F.mse_loss(code, self.description_of(batch)) + F.mse_loss(drawn, batch.noisy)
        return self.weighted(loss, batch)
