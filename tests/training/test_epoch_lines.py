"""A log tells how far a training is, where no terminal shows a bar."""

import logging
from types import SimpleNamespace

from stm_experiments.training.callbacks import EpochLines, epoch_lines


def test_a_run_without_a_terminal_logs_its_losses(train_in, tmp_path, no_figures, caplog):
    with caplog.at_level(logging.INFO):
        train_in(tmp_path, "trainer.max_epochs=2")
    lines = [each.message for each in caplog.records if each.name == epoch_lines.__name__]
    assert len(lines) == 1  # within half a minute, the last epoch alone
    assert lines[0].startswith("epoch 2 of 2: train/loss 0.")
    assert ", val/loss 0." in lines[0]


def test_the_time_that_is_left_counts_the_epochs_of_this_training(monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr(epoch_lines.time, "monotonic", lambda: now[0])
    trainer = SimpleNamespace(
        current_epoch=10, max_epochs=20, is_global_zero=True, callback_metrics={"train/loss": 0.5}
    )
    lines = EpochLines()
    lines.on_train_start(trainer, None)
    with caplog.at_level(logging.INFO):
        for trainer.current_epoch in range(10, 14):
            now[0] += 20
            lines.on_train_epoch_end(trainer, None)
        trainer.max_epochs = None
        now[0] += 100
        lines.on_train_epoch_end(trainer, None)
    assert [each.message for each in caplog.records] == [
        "epoch 12 of 20: train/loss 0.5; 3 minutes left",
        "epoch 14 of 20: train/loss 0.5; 2 minutes left",
        "epoch 14: train/loss 0.5",
    ]
