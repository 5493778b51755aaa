"""What a run keeps of itself, in real fits of a few steps."""

import csv
from functools import partial

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import OneCycleLR, StepLR

import stm_experiments
from stm_experiments.data import PatchSettings, SimulatedData
from stm_experiments.data.module import PatchData
from stm_experiments.models import CAEA
from stm_experiments.models.checkpoint import Card
from stm_experiments.simulator import NOISES
from stm_experiments.training import Reconstruction
from stm_experiments.training.callbacks import (
    CheckpointWriter,
    Diverged,
    FirstReconstruction,
    History,
)

EPOCHS, STEPS = 4, 3


class Watch(Callback):
    """Notes each step's loss and learning rate, and each epoch's weights."""

    def __init__(self):
        self.losses, self.rates, self.states = [], [], []

    def on_train_batch_start(self, trainer, module, batch, index):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self.losses.append((float(outputs["loss"]), len(batch.noisy)))

    def on_train_epoch_end(self, trainer, module):
        self.states.append({key: value.clone() for key, value in module.net.state_dict().items()})


class Explode(Callback):
    """Makes the training diverge in an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == self.epoch:
            trainer.optimizers[0].param_groups[0]["lr"] = 1e30


@pytest.fixture(scope="module")
def data():
    source = SimulatedData(
        lattices={"sc": {"spread": 10.0, "azimuth_max": 45.0, "tilt_max": 45.0}},
        noise=NOISES["paper"],
        size=64,
        images_per_epoch=4,
        validation_images=2,
        test_images=2,
    )
    settings = PatchSettings(
        window=17, batch_size=24, patches_per_image=16, augment=True, num_workers=0
    )
    return PatchData(source, settings)


def fit(data, folder, schedule=None, *more):
    torch.manual_seed(0)
    module = Reconstruction(CAEA(), partial(torch.optim.Adam, lr=1e-2), schedule)
    (folder / "checkpoints").mkdir()
    history, watch = History(folder / "metrics.csv"), Watch()
    first = FirstReconstruction(module.net, data.samples(2).noisy)
    card = Card("CAEA", {"latent": 10}, 17)
    keep = CheckpointWriter(folder / "checkpoints", 10, card)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        default_root_dir=str(folder),
        callbacks=[history, first, keep, watch, *more],
        logger=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    return module, trainer, history, watch, first


def validation_loss(data, net):
    total = count = 0
    with torch.inference_mode():
        for batch in data.loader("validation"):
            total += float((net(batch.noisy) - batch.noisy).square().sum())
            count += batch.noisy.numel()
    return total / count


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """One fit, looked at by several tests."""
    folder = tmp_path_factory.mktemp("run")
    module, trainer, history, watch, first = fit(data, folder, partial(OneCycleLR, max_lr=0.02))
    trainer.fit(module, data)
    return folder, history, watch, first


def net_of(state):
    net = CAEA()
    net.load_state_dict(state)
    return net.eval()


def test_history_has_a_true_row_for_each_epoch(run, data):
    folder, history, watch, _ = run
    assert [row["epoch"] for row in history.rows] == [1, 2, 3, 4]
    assert [row["step"] for row in history.rows] == [3, 6, 9, 12]
    assert [count for _, count in watch.losses] == [24, 24, 16] * EPOCHS
    for epoch, row in enumerate(history.rows):
        steps = watch.losses[STEPS * epoch : STEPS * (epoch + 1)]
        mean = sum(loss * count for loss, count in steps) / 64
        assert row["train/loss"] == pytest.approx(mean, rel=1e-6)
        loss = validation_loss(data, net_of(watch.states[epoch]))
        assert row["val/loss"] == pytest.approx(loss, rel=1e-5)
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == history.rows
    curves = history.curves()
    assert curves["val/loss"] == [(row["epoch"], row["val/loss"]) for row in history.rows]


def test_one_cycle_ends_with_the_last_step(run):
    rates = run[2].rates
    assert len(rates) == EPOCHS * STEPS
    assert max(rates) == pytest.approx(0.02, rel=0.1)
    assert rates[0] == pytest.approx(0.02 / 25)
    assert rates[-1] == pytest.approx(0.02 / 25 / 1e4)


def test_checkpoints_are_the_best_the_last_and_the_one_before(run, data):
    folder, history, watch, _ = run
    losses = [row["val/loss"] for row in history.rows]
    wanted = {"best": losses.index(min(losses)), "last": EPOCHS - 1, "previous": EPOCHS - 2}
    assert {path.stem for path in (folder / "checkpoints").iterdir()} == set(wanted)
    for name, epoch in wanted.items():
        path = folder / "checkpoints" / f"{name}.ckpt"
        state = torch.load(path, weights_only=True)["state_dict"]
        for key, value in watch.states[epoch].items():
            assert torch.equal(state[f"net.{key}"], value), (name, key)
        net = stm_experiments.load(path)
        assert validation_loss(data, net) == pytest.approx(losses[epoch], rel=1e-5)
        assert net.card.window == 17


def test_the_first_reconstructions_are_those_after_the_first_epoch(run, data):
    _, _, watch, first = run
    with torch.inference_mode():
        wanted, final = (net_of(watch.states[i])(data.samples(2).noisy) for i in (0, -1))
    torch.testing.assert_close(first.reconstructions, wanted, atol=1e-6, rtol=0)
    assert (first.reconstructions - final).abs().max() > 1e-3


def test_a_schedule_that_counts_epochs_steps_once_an_epoch(data, tmp_path):
    module, trainer, _, watch, _ = fit(data, tmp_path, partial(StepLR, step_size=2, gamma=0.1))
    trainer.fit(module, data)
    assert watch.rates == pytest.approx([1e-2] * 2 * STEPS + [1e-3] * 2 * STEPS)


def test_a_diverged_run_stops_at_once_and_keeps_its_good_weights(data, tmp_path):
    module, trainer, history, _, _ = fit(data, tmp_path, None, Explode(epoch=2))
    with pytest.raises(Diverged) as info:
        trainer.fit(module, data)
    message = str(info.value)
    assert "training diverged: the loss is" in message
    assert "epoch 3" in message
    assert "model.optimizer.lr" in message
    assert 2 * STEPS < trainer.global_step <= 2 * STEPS + 2
    assert len(history.rows) == 2
    for name, epoch in (("last", 1), ("previous", 0)):
        net = stm_experiments.load(tmp_path / "checkpoints" / f"{name}.ckpt")
        loss = validation_loss(data, net)
        assert loss == pytest.approx(history.rows[epoch]["val/loss"], rel=1e-5)
    best = stm_experiments.load(tmp_path / "checkpoints" / "best.ckpt")
    wanted = min(row["val/loss"] for row in history.rows)
    assert validation_loss(data, best) == pytest.approx(wanted, rel=1e-5)
