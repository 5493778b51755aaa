"""What the objective of each model logs reaches metrics.csv and the curves, with its unit."""

import pytest
import torch
from lightning import Trainer

from stm_experiments.app import build
from stm_experiments.app.settings import resolve
from stm_experiments.core.batch import Batch
from stm_experiments.core.config_files import config_dir
from stm_experiments.core.files import read_csv
from stm_experiments.core.results.measures import MEASURES, measure_of
from stm_experiments.core.results.names import read_name
from stm_experiments.evaluation.run_figures import TrainingRecord, curves_figure
from stm_experiments.training.callbacks import History

MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))
FEWEST = 4  # patches


def patches(side, description):
    """Patches of two images with all the truth that an objective may ask for."""
    draws = torch.Generator().manual_seed(0)
    noisy = torch.randn(FEWEST, 1, side, side, generator=draws).clamp(-1, 1)
    lines = torch.arange(FEWEST) // 2
    truth = {
        "centred": noisy.flatten(1),
        "phases": torch.zeros(FEWEST, 9),
        "description": torch.randn(FEWEST, description, generator=draws),
        "stripes": torch.zeros_like(noisy, dtype=torch.bool),
    }
    truth["stripes"][:, :, 3] = True
    return Batch(
        noisy, 0.5 * noisy, lines, torch.zeros(FEWEST, 3), lines, torch.zeros(FEWEST, 2), truth
    )


@pytest.mark.parametrize("name", MODELS)
def test_what_an_objective_logs_is_in_the_table_and_in_the_curves(name, compose_config, tmp_path):
    module = build.build_model(resolve(compose_config(f"model={name}")))
    module.fused = False
    if module.optimizer is None:
        return
    length = 1
    if targets := getattr(module.net, "targets", None):
        length = targets.descriptions.shape[1]
        targets.fit(torch.randn(40, length))
    batch = patches(module.net.window or 32, length)
    logged, log = set(), module.log

    def note(text, *rest, **options):
        logged.add(text)
        log(text, *rest, **options)

    module.log = note
    history = History(tmp_path / "metrics.csv")
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[history],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
    loader = torch.utils.data.DataLoader([batch], batch_size=None)
    trainer.fit(module, loader, loader)
    assert {"train/loss", "val/loss"} <= logged
    (row,) = read_csv(tmp_path / "metrics.csv")
    assert all(torch.isfinite(torch.tensor(float(row[text]))) for text in logged)
    parts = {read_name(text).measure for text in logged}
    assert parts - {"loss"} == set(module.measures)
    assert not {*module.measures} & {*MEASURES}
    record = TrainingRecord(
        history.rows, history.curves(), None, module.curve_label(), module.measures
    )
    axes = curves_figure(name, record, {}).axes
    titles = {measure_of(part, module.measures).title for part in module.measures}
    assert {each.get_ylabel().replace("\n", " ") for each in axes[1:]} == titles
    assert all("(" in title for title in titles)  # the unit
    shown = {
        text.partition(" ")[0] for each in axes for text in each.get_legend_handles_labels()[1]
    }
    assert shown == logged
