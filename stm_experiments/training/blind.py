"""Training a denoiser on scans without clean partners."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stm_experiments.core.batch import Batch
from stm_experiments.models.interfaces import Network
from stm_experiments.training.reconstruction import Reconstruction

# Variance of a row minus the mean of its neighbours, and of that mean: 3/2 and 1/2 of a row's own,
# for noise that is independent from row to row. With this share of another row's difference, what
# stands in for a row is as noisy as a row.
SHARE = 3**-0.5


class RowBlind(Reconstruction):
    """Trains a network to denoise scans of which there is no clean version.

    In every patch each ``spacing``-th row is hidden from the network, which has to predict it from
    the others; only there is it scored, against what was recorded. Noise that is independent from
    row to row, such as heights of lines, scars and thermal noise, cannot be predicted, and the best
    guess is the surface (Batson & Royer, "Noise2Self", 2019; Krull et al., "Noise2Void", 2019;
    whole lines, as their noise is correlated along them: Broaddus et al., "Removing structured
    noise with self-supervised blind-spot networks", 2020). Noise that lasts for several rows, such
    as slow 1/f noise, drift or a bow, can be predicted and stays.

    In place of a hidden row stands the mean of its neighbours plus the difference of another row
    from the mean of its own, so that it looks as noisy as a recorded one: the network cannot tell
    which rows count, and has to clean them all.

    When the network is used nothing is hidden. It then sees each row's own noise, which it learnt
    to distrust but was not kept from: that noise is reduced, and less than it would be if rows were
    hidden by turns. What is in one row only, such as an adatom one row high, is taken for noise.

    Args:
        net: Network [B, 1, h, w] -> [B, 1, h, w].
        optimizer: Takes the parameters.
        scheduler: As for ``Reconstruction``.
        spacing: Rows from one hidden row to the next, px, at least 4.

    Raises:
        ValueError: If the spacing is smaller.
    """

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
        """Refuses patches whose rows are not the scan's, or too few.

        Raises:
            ValueError: If the data are turned by quarters, or cut into smaller patches.
        """
        settings = self.trainer.datamodule.settings  # type: ignore[attr-defined]
        if settings.augment:
            raise ValueError("hidden rows need the scan's own rows: set data.augment=false")
        if settings.window < 3 * self.spacing:
            raise ValueError(
                f"model.spacing={self.spacing} needs patches of at least {3 * self.spacing} px, "
                f"not {settings.window} px"
            )

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error of the predicted rows, against what was recorded there."""
        patches, draw = batch.noisy, self.draw(batch)
        hidden = hidden_rows(patches, draw, self.spacing)
        made = self.net(fill(patches, hidden, draw // self.spacing, self.spacing))
        return (made - patches).square().mean((1, 3))[hidden].mean()

    def draw(self, batch: Batch) -> Tensor:
        """A random number [B] for each patch: a pure function of epoch, image and position."""
        epoch = self.current_epoch if self.training else 0
        row, column = batch.position.long().unbind(1)
        key = ((epoch * 1009 + batch.image) * 8191 + row) * 8191 + column
        return (key * 2654435761 % 2**32) >> 8  # Knuth's multiplicative hash


def hidden_rows(patches: Tensor, draw: Tensor, spacing: int) -> Tensor:
    """Which rows are hidden.

    Args:
        patches: [B, 1, h, w].
        draw: Whole numbers [B] that say with which row each patch begins.
        spacing: Rows from one to the next, px.

    Returns:
        [B, h], True where hidden.
    """
    rows = torch.arange(patches.shape[-2], device=patches.device)
    return (rows + draw[:, None]) % spacing == 0


def fill(patches: Tensor, hidden: Tensor, draw: Tensor, spacing: int) -> Tensor:
    """Puts something else in place of the hidden rows, made of the others alone.

    Args:
        patches: [B, 1, h, w], at least three spacings high.
        hidden: [B, h], each ``spacing``-th row of a patch.
        draw: Whole numbers [B] that say from how far each patch takes its rows' noise.
        spacing: Rows from one hidden row to the next, px.

    Returns:
        [B, 1, h, w].
    """
    before = torch.cat([patches[:, :, 1:2], patches[:, :, :-1]], 2)
    after = torch.cat([patches[:, :, 1:], patches[:, :, -2:-1]], 2)
    mean = (before + after) / 2
    # Rows half-way between two other hidden ones: neither they nor their neighbours are hidden, or
    # neighbours of this one.
    rows = torch.arange(patches.shape[-2], device=patches.device)
    periods = len(rows) // spacing
    away = spacing // 2 + spacing * (1 + draw % (periods - 2))
    donors = (rows + away[:, None]) % (spacing * periods)
    noise = (patches - mean).gather(2, donors[:, None, :, None].expand_as(patches))
    return torch.where(hidden[:, None, :, None], mean + SHARE * noise, patches)
