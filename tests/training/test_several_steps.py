"""Several steps in one call by the trainer: everything is as if each batch came by itself."""

from functools import partial

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.loggers import Logger
from torch.optim.lr_scheduler import OneCycleLR, StepLR

from stm_experiments.data import PatchSettings, SimulatedData
from stm_experiments.data.module import PatchData
from stm_experiments.models import CAEA
from stm_experiments.simulator import NOISES
from stm_experiments.training import Reconstruction
from stm_experiments.training.callbacks import Diverged, History
from stm_experiments.training.steps import several

# 22 batches an epoch, the last one of a single patch: stacks of two, and the last one of two.
BATCH, STEPS = 3, 22
SCHEDULES = {
    "one_cycle": partial(OneCycleLR, max_lr=0.02),
    "step": partial(StepLR, step_size=2, gamma=0.1),
    "constant": None,
}


class Log(Logger):
    """Keeps what is logged, and at which step."""

    name = version = None

    def __init__(self):
        super().__init__()
        self.lines = []

    def log_metrics(self, metrics, step=None):
        timings = ("epoch_seconds", "patches_per_second")
        self.lines.append((step, {key: metrics[key] for key in metrics if key not in timings}))

    def log_hyperparams(self, params):
        pass


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
        window=17, batch_size=BATCH, patches_per_image=16, augment=True, num_workers=0
    )
    return PatchData(source, settings)


def fit(data, folder, schedule, fused="auto", rate=1e-2, clip=None):
    torch.manual_seed(0)
    module = Reconstruction(CAEA(), partial(torch.optim.Adam, lr=rate), schedule, fused=fused)
    history, log = History(folder / "metrics.csv"), Log()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=3,
        default_root_dir=str(folder),
        callbacks=[history],
        logger=log,
        gradient_clip_val=clip,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=10**9,
    )
    trainer.fit(module, data)
    return module, trainer, history, log


@pytest.mark.parametrize(
    ("fused", "schedule"),
    [(False, "one_cycle"), ("auto", "one_cycle"), ("auto", "step"), ("auto", "constant")],
)
def test_nothing_depends_on_the_steps_of_a_call(data, tmp_path, monkeypatch, fused, schedule):
    module, trainer, history, log = fit(data, tmp_path, SCHEDULES[schedule], fused)
    assert module.steps_at_once == 2
    monkeypatch.setitem(several.STACKED_PATCHES, "cpu", 1)
    plain_module, plain_trainer, plain_history, plain_log = fit(
        data, tmp_path, SCHEDULES[schedule], fused
    )
    assert plain_module.steps_at_once == 1
    assert trainer.global_step == plain_trainer.global_step == 3 * STEPS
    for key, weight in plain_module.net.state_dict().items():
        assert torch.equal(module.net.state_dict()[key], weight), key
    states = [each.optimizers[0].state_dict() for each in (trainer, plain_trainer)]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    for ours, theirs in zip(*(state["state"].values() for state in states), strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert history.rows == plain_history.rows
    assert history.trained == plain_history.trained
    assert log.lines == plain_log.lines
    assert log.lines


def test_a_diverged_run_stops_within_a_stack(data, tmp_path, monkeypatch):
    monkeypatch.setattr(several, "LEAST_STACKS", 2)
    with pytest.raises(Diverged, match="epoch 1, step 2;"):
        fit(data, tmp_path, None, rate=1e30)


def test_gradients_are_clipped_step_by_step(data, tmp_path):
    module, *_ = fit(data, tmp_path, None, clip=1e-3)
    assert module.steps_at_once == 1


def test_sigterm_saves_after_a_stack(train_in, check_resume, no_figures):
    many = ("data.batch_size=2", "model.scheduler.pct_start=0.5")
    check_resume(Reconstruction, 2, lambda folder: train_in(folder, *many), steps_per_call=4)
