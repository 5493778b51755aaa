"""Training by the mean absolute error."""

from typing import ClassVar

from torch import Tensor

from stm_experiments.core.batch import Batch
from stm_experiments.core.results.measures import Measure
from stm_experiments.training import Reconstruction


class Absolute(Reconstruction):
    """Trains by the mean absolute error, and logs the largest error of the validation patches."""

    loss_label = "mean absolute error per pixel"
    measures: ClassVar = {"largest": Measure("largest error of a patch", "half the range")}

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean absolute difference between reconstruction and target."""
        return (self.net(batch.noisy) - self.target_of(batch)).abs().mean()

    def validation_step(self, batch: Batch, index: int) -> None:
        """Log ``val/loss`` and ``val/largest``, the mean over patches of their largest error."""
        super().validation_step(batch, index)
        largest = (self.net(batch.noisy) - self.target_of(batch)).abs().amax((1, 2, 3)).mean()
        self.log("val/largest", largest, batch_size=len(batch.noisy), sync_dist=True)
