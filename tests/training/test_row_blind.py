"""The row-blind objective: what the network may see, and that it denoises without clean images."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from stm_experiments.core.batch import Batch
from stm_experiments.data import PatchSettings
from stm_experiments.models import Denoiser
from stm_experiments.training import RowBlind
from stm_experiments.training.row_blind import hidden_rows, replace_rows


def make_batch(noisy):
    count = len(noisy)
    index = torch.arange(count)
    position = torch.stack([3 * index, 5 * index + 1], 1)
    return Batch(noisy, None, index, torch.zeros(count, 3), index, position, {})


@pytest.mark.parametrize("side", [24, 25, 30, 33])
@pytest.mark.parametrize("spacing", [4, 5, 8])
def test_the_network_never_sees_the_rows_on_which_it_is_scored(side, spacing):
    patches = torch.randn(64, 1, side, side, requires_grad=True)
    draw = torch.randint(10**6, (64,))
    hidden = hidden_rows(patches, draw, spacing)
    assert set(hidden.sum(1).tolist()) <= {side // spacing, side // spacing + 1}
    filled = replace_rows(patches, hidden, draw // spacing, spacing)
    assert torch.equal(filled.detach()[:, 0][~hidden], patches.detach()[:, 0][~hidden])
    filled.square().sum().backward()
    assert (patches.grad[:, 0][hidden] == 0).all()
    assert (patches.grad[:, 0][~hidden] != 0).all()


def test_the_loss_counts_hidden_rows_alone():
    batch = make_batch(torch.randn(8, 1, 16, 16))
    module = RowBlind(torch.nn.Identity())
    draw = module.random_numbers(batch)
    hidden = hidden_rows(batch.noisy, draw, 4)
    filled = replace_rows(batch.noisy, hidden, draw // 4, 4)
    wanted = (filled - batch.noisy)[:, 0][hidden].square().mean()
    torch.testing.assert_close(module.loss(batch), wanted)


def test_what_stands_in_for_a_row_is_as_noisy_as_a_row():
    patches = torch.randn(2000, 1, 16, 32)
    draw = torch.randint(10**6, (2000,))
    hidden = hidden_rows(patches, draw, 4)
    stand_in = replace_rows(patches, hidden, draw // 4, 4)[:, 0, 1:-1][hidden[:, 1:-1]]
    assert stand_in.std() == pytest.approx(1, abs=0.03)  # at an edge both neighbours are one row
    # Lines that are high or low as a whole stay such lines.
    lines = patches.mean(3, keepdim=True).expand_as(patches)
    stand_in = replace_rows(lines, hidden, draw // 4, 4)
    assert stand_in.std(3).max() < 1e-6


def test_hidden_rows_follow_from_the_patch_and_the_epoch_alone():
    batch = make_batch(torch.randn(400, 1, 16, 16))
    module = RowBlind(torch.nn.Identity())
    draw = module.random_numbers(batch)
    part = Batch(*(column[7:20] for column in batch[:1]), None, *(c[7:20] for c in batch[2:6]), {})
    assert torch.equal(module.random_numbers(part), draw[7:20])
    assert torch.equal(module.random_numbers(batch), draw)
    assert (draw >= 0).all()
    # Each row of a patch is hidden as often as any other.
    assert hidden_rows(batch.noisy, draw, 4).float().mean(0).sub(0.25).abs().max() < 0.1
    module._trainer = SimpleNamespace(current_epoch=1)
    assert not torch.equal(module.random_numbers(batch), draw)
    module.eval()
    assert torch.equal(
        module.random_numbers(batch), RowBlind(torch.nn.Identity()).eval().random_numbers(batch)
    )


def test_turned_patches_and_small_ones_are_refused():
    with pytest.raises(ValueError, match=r"model\.spacing is a whole number of px from 4 on"):
        RowBlind(torch.nn.Identity(), spacing=3)
    module = RowBlind(torch.nn.Identity())
    for settings, reason in (
        (PatchSettings(window=64, augment=True), "set data.augment=false"),
        (PatchSettings(window=11), "patches of at least 12 px, not 11 px"),
    ):
        module._trainer = SimpleNamespace(datamodule=SimpleNamespace(settings=settings))
        with pytest.raises(ValueError, match=reason):
            module.on_fit_start()


def test_it_denoises_what_it_was_trained_on_without_clean_images():
    """Lines of wrong height and white noise on waves: 60 steps of the smallest network."""
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    phase = 6.28 * torch.rand(32, 1, 1, 1)
    clean = torch.sin(0.4 * rows + 0.3 * columns + phase)
    noisy = clean + 0.5 * torch.randn(32, 1, 32, 1) + 0.1 * torch.randn(clean.shape)
    batch = make_batch(noisy)
    module = RowBlind(Denoiser(4), partial(torch.optim.Adam, lr=5e-3))
    optimizer = module.configure_optimizers()["optimizer"]
    for step in range(60):
        module._trainer = SimpleNamespace(current_epoch=step)
        optimizer.zero_grad()
        module.training_step(batch, step).backward()
        optimizer.step()
    with torch.no_grad():
        error = F.mse_loss(module.net(noisy), clean).item()
    assert error < 0.6 * F.mse_loss(noisy, clean).item()
