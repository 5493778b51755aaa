"""Training a denoiser on scans without clean partners."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stm_experiments.core.batch import Batch
from stm_experiments.models.interfaces import Network
from stm_experiments.training.reconstruction import Reconstruction

# For noise of variance v that is independent from row to row, the difference of a row from the mean
# of its two neighbours has the variance 3/2 v, and this mean 1/2 v. This share of the difference of
# another row raises the variance of a mean from 1/2 v to v.
_NOISE_SHARE = 3**-0.5


class RowBlind(Reconstruction):
    """Trains a network to denoise scans without clean partners.

    In every patch each ``spacing``-th row is hidden from the network, which has to predict it from
    the other rows. The loss is the error in these rows against the recorded ones. Noise that is
    independent from row to row, such as offsets of lines, scars and thermal noise, cannot be
    predicted, so that the best prediction is the surface (Batson & Royer, "Noise2Self", 2019; Krull
    et al., "Noise2Void", 2019; whole lines, as their noise is correlated along the line: Broaddus
    et al., "Removing structured noise with self-supervised blind-spot networks", 2020). Noise that
    lasts for several rows, such as slow 1/f noise, drift or a bow, can be predicted and stays.

    A hidden row is replaced by the mean of its neighbours plus the difference of another row from
    the mean of its own neighbours, so that it is as noisy as a recorded row. The network cannot
    tell which rows count, and has to denoise them all.

    No row is hidden when the network is used. The noise of a row is then a part of the network's
    input; it is reduced, but less than if the rows were hidden in turn. Structures in a single row,
    such as an adatom one row high, count as noise.

    Args:
        net: The network to train.
        optimizer: As for ``Reconstruction``.
        scheduler: As for ``Reconstruction``.
        spacing: Rows from one hidden row to the next, px, at least 4.

    Raises:
        ValueError: If the spacing is smaller.
    """

    loss_label = "mean squared error of the hidden rows"

    def __init__(
        self,
        net: Network,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
        spacing: int = 4,
    ) -> None:
        super().__init__(net, optimizer, scheduler)
        if not isinstance(spacing, int) or spacing < 4:
            raise ValueError(f"model.spacing is a whole number of px from 4 on, not {spacing!r}")
        self.spacing = spacing

    def on_fit_start(self) -> None:
        """Refuse patches with too few rows, or turned ones, whose rows are not those of the scan.

        Raises:
            ValueError: If the data are augmented by quarter turns, or the patches are too small.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if data is None:  # a loader of the user's own
            return
        settings = data.settings
        if settings.augment:
            raise ValueError("hidden rows need the scan's own rows: set data.augment=false")
        if settings.window < 3 * self.spacing:
            raise ValueError(
                f"model.spacing={self.spacing} needs patches of at least {3 * self.spacing} px, "
                f"not {settings.window} px"
            )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean squared error of the predicted rows against the recorded ones."""
        patches, numbers = batch.noisy, self.random_numbers(batch)
        hidden = hidden_rows(patches, numbers, self.spacing)
        inputs = replace_rows(patches, hidden, numbers // self.spacing, self.spacing)
        return (self.net(inputs) - patches).square().mean((1, 3))[hidden].mean()

    def random_numbers(self, batch: Batch) -> Tensor:
        """Return a random whole number per patch [B]: a function of epoch, image and position."""
        epoch = self.current_epoch if self.training else 0
        row, column = batch.position.long().unbind(1)
        key = ((epoch * 1009 + batch.image) * 8191 + row) * 8191 + column
        return (key * 2654435761 % 2**32) >> 8  # Knuth's multiplicative hash


def hidden_rows(patches: Tensor, numbers: Tensor, spacing: int) -> Tensor:
    """Choose the rows that are hidden.

    Args:
        patches: [B, 1, h, w].
        numbers: Whole numbers that determine the first hidden row of each patch, [B].
        spacing: Rows from one hidden row to the next, px.

    Returns:
        A mask of the hidden rows, [B, h] bool.
    """
    rows = torch.arange(patches.shape[-2], device=patches.device)
    return (rows + numbers[:, None]) % spacing == 0


def replace_rows(patches: Tensor, hidden: Tensor, numbers: Tensor, spacing: int) -> Tensor:
    """Replace the hidden rows by rows that are made of the others alone.

    Args:
        patches: [B, 1, h, w], at least three spacings high.
        hidden: Every ``spacing``-th row of a patch, [B, h] bool.
        numbers: Whole numbers that determine the distance of the rows whose noise is used, [B].
        spacing: Rows from one hidden row to the next, px.

    Returns:
        [B, 1, h, w].
    """
    before = torch.cat([patches[:, :, 1:2], patches[:, :, :-1]], 2)
    after = torch.cat([patches[:, :, 1:], patches[:, :, -2:-1]], 2)
    mean = (before + after) / 2
    # Donors are half-way between two other hidden rows: neither they nor their neighbours are
    # hidden, or are neighbours of this one.
    rows = torch.arange(patches.shape[-2], device=patches.device)
    periods = len(rows) // spacing
    distance = spacing // 2 + spacing * (1 + numbers % (periods - 2))
    donors = (rows + distance[:, None]) % (spacing * periods)
    noise = (patches - mean).gather(2, donors[:, None, :, None].expand_as(patches))
    return torch.where(hidden[:, None, :, None], mean + _NOISE_SHARE * noise, patches)
