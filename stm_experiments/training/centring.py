"""Training one encoder with two decoders, one for the patch and one for the centred crystal."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stm_experiments.core.batch import Batch
from stm_experiments.core.results.measures import Measure
from stm_experiments.data.sources.centred import patch_phases
from stm_experiments.models.interfaces import Centring
from stm_experiments.training.context import make_map
from stm_experiments.training.reconstruction import Reconstruction


class Errors(NamedTuple):
    """Mean squared errors of a batch.

    Attributes:
        patch: Of the patch, per px.
        centred: Of the centred patch, per px.
        coordinates: Of the place of the patch's image on the map of images; 1 is a guess.
    """

    patch: Tensor
    centred: Tensor
    coordinates: Tensor


class Centred(Reconstruction):
    """Trains a network to denoise a patch, and to draw the crystal in its canonical pose.

    The loss is the mean squared error of the patch plus ``centred_weight`` times that of the
    centred patch. So that a linear map can tell crystals apart by their content, it also predicts
    where the patch's image lies on a map of images (see ``Context``); ``linear_weight`` is the
    weight of this error relative to that of the centred patch. The reading of the pose learns
    beside it, from codes that it cannot change.

    Args:
        net: The network to train, such as ``TwoDecoders``.
        optimizer: As for ``Reconstruction``.
        scheduler: As for ``Reconstruction``.
        target: As for ``Reconstruction``.
        centred_weight: Weight of the centred patch's error.
        linear_weight: Weight of the coordinates' error, relative to the centred patch's.

    Raises:
        ValueError: If a weight is negative or not finite.
    """

    loss_label = "weighted squared errors of both decoders"
    measures: ClassVar[Mapping[str, Measure]] = {
        "patch": Measure("mean squared error of the patch", "per px"),
        "centred": Measure("mean squared error of the centred patch", "per px"),
        "coordinates": Measure("mean squared error of the coordinates", "1: a guess"),
    }
    net: Centring

    def __init__(
        self,
        net: Centring,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
        target: str = "clean",
        centred_weight: float = 0.5,
        linear_weight: float = 0.5,
    ) -> None:
        super().__init__(net, optimizer, scheduler, target)
        for name, value in (("centred", centred_weight), ("linear", linear_weight)):
            if not 0 <= value < math.inf:
                raise ValueError(f"model.{name}_weight is a number from 0 on, not {value!r}")
        self.centred_weight = centred_weight
        self.linear_weight = linear_weight

    def setup(self, stage: str) -> None:
        """Make the map of images.

        Raises:
            ValueError: If there are too few training images, or the data have no centred patches.
        """
        super().setup(stage)
        make_map(self.net, self.trainer)

    def loss(self, batch: Batch) -> Tensor:
        """Return the weighted errors of both decoders."""
        return self.weighted_sum(self.errors(batch, self.net.encode(batch.noisy)))

    def errors(self, batch: Batch, codes: Tensor) -> Errors:
        """Return the errors for the codes of a batch [B, D]."""
        told = self.net.coordinates(self.net.split(codes)[0])
        return Errors(
            F.mse_loss(self.net.decode(codes), self.target_of(batch)),
            F.mse_loss(self.net.centre(codes).flatten(1), batch.truth["centred"]),
            F.mse_loss(told, self.net.targets(batch.truth["description"])),
        )

    def weighted_sum(self, errors: Errors) -> Tensor:
        """Return the loss that errors make."""
        crystal = errors.centred + self.linear_weight * errors.coordinates
        return errors.patch + self.centred_weight * crystal

    def validation_step(self, batch: Batch, _: int) -> None:
        """Log ``val/loss`` and the errors of which it is made."""
        if len(batch.noisy):
            errors = self.errors(batch, self.net.encode(batch.noisy))
        else:
            errors = Errors(*[self.process_loss(batch)] * 3)
        self.log_validation(batch, loss=self.weighted_sum(errors), **errors._asdict())

    def training_step(self, batch: Batch, index: int) -> Any:
        """Return the loss of a step, with that of the reading of the pose."""
        if not len(batch.noisy):
            return super().training_step(batch, index)
        codes = self.net.encode(batch.noisy)
        read = F.mse_loss(self.net.angles(codes.detach()), pose_circles(batch))
        return self.weighted(self.weighted_sum(self.errors(batch, codes)) + read, batch)


def pose_circles(batch: Batch) -> Tensor:
    """Return cosines and sines of twice the rotation and of the three phases, [B, 4, 2]."""
    phases, _ = patch_phases(batch)
    twice = 2 * math.pi * batch.orientation[:, 2:3].to(phases)
    angles = torch.cat([twice, phases], 1)
    return torch.stack([angles.cos(), angles.sin()], 2)
