"""Layer after layer, then all together: what learns when, and that a resumed run cannot tell."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from stm_experiments.core.batch import Batch
from stm_experiments.models import StackedAutoencoder
from stm_experiments.training import Stacked

# 12 steps: three of each layer, and three of all.
SMALL = (
    *("lattice=srtio3", "noise=srtio3", "model=stacked_autoencoder", "data.augment=false"),
    *("model.net.widths=[24,12,6]", "model.pretraining=0.75", "trainer.max_epochs=4"),
)


def make_batch(count=64):
    """Stripes at random places, in noise."""
    rows = torch.arange(28)[:, None] + 8 * torch.rand(count, 1, 1, 1)
    clean = torch.sin(rows * 0.8).expand(-1, 1, 28, 28)
    noisy = clean + 0.5 * torch.randn(clean.shape)
    index = torch.zeros(count, dtype=torch.int64)
    return Batch(noisy, clean, index, torch.zeros(count, 3), index, index, {})


def module_at(step, steps=12, pretraining=0.75):
    """The objective as in the middle of a fit."""
    net = StackedAutoencoder(widths=(24, 12, 6))
    module = Stacked(net, partial(torch.optim.Adam, lr=3e-3), pretraining=pretraining)
    module._pretraining_steps = round(pretraining * steps)
    module._trainer = SimpleNamespace(global_step=step, world_size=1)
    return module


def test_the_layers_take_turns_and_end_together():
    module = module_at(0)
    assert [module.layer_at(step) for step in range(12)] == [0] * 3 + [1] * 3 + [2] * 3 + [None] * 3
    none = module_at(0, pretraining=0)
    assert none.layer_at(0) is None
    with pytest.raises(ValueError, match="pretraining is a share from 0 to 1, not 2"):
        Stacked(StackedAutoencoder(), pretraining=2)


@pytest.mark.parametrize(("step", "layers"), [(0, {0}), (4, {1}), (8, {2}), (9, {0, 1, 2})])
def test_only_the_layer_whose_turn_it_is_and_its_partner_learn(step, layers):
    module = module_at(step)
    module.training_step(make_batch(), 0).backward()
    for stack in (module.net.encoder, module.net.decoder):
        learning = {k for k, layer in enumerate(stack) if layer.weight.grad is not None}
        assert learning == layers


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_layer_learns_what_the_layers_before_make_of_the_clean_patch(layer):
    torch.manual_seed(0)
    module, batch = module_at(0), make_batch()
    optimizer = module.configure_optimizers()["optimizer"]
    before = module.layer_loss(batch, layer).item()
    for _ in range(60):
        optimizer.zero_grad()
        module.layer_loss(batch, layer).backward()
        optimizer.step()
    assert module.layer_loss(batch, layer).item() < 0.7 * before


def test_pretraining_of_the_first_layer_denoises():
    """A single layer and its partner are a denoising autoencoder of the patch itself."""
    module, batch = module_at(0), make_batch(8)
    net = module.net
    made = net.undo(0, net.encode(batch.noisy, 1)).view_as(batch.clean)
    torch.testing.assert_close(module.layer_loss(batch, 0), (made - batch.clean).square().mean())


@pytest.mark.parametrize("step", [2, 5, 8, 11])
def test_a_run_that_is_resumed_goes_on_in_its_stage(step, train_in, check_resume, no_figures):
    check_resume(Stacked, step, lambda folder: train_in(folder, *SMALL))
