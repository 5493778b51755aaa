"""The end of a trial that is worse than others of its study were at its epoch."""

import os
from typing import TYPE_CHECKING

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

if TYPE_CHECKING:
    from optuna.trial import Trial

STUDY = "STM_STUDY"  # environment: name and storage of the study whose trials may be pruned


def trial_of_job(number: int) -> "Trial | None":
    """Return the trial of a job of a sweep; None if its jobs are not pruned."""
    if STUDY not in os.environ:
        return None
    import optuna

    name, _, storage = os.environ[STUDY].partition("|")
    study = optuna.load_study(study_name=name, storage=storage)
    return optuna.trial.Trial(study, study.trials[number]._trial_id)


class Pruning(Callback):
    """Tells Optuna ``val/loss`` after each epoch, and stops the training when Optuna says so.

    Args:
        trial: The trial of this run.

    Attributes:
        has_pruned: Whether Optuna has said so.
    """

    def __init__(self, trial: "Trial") -> None:
        self.trial = trial
        self.has_pruned = False

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Report the loss of the epoch."""
        self.trial.report(float(trainer.callback_metrics["val/loss"]), trainer.current_epoch)
        if self.trial.should_prune():
            self.has_pruned = trainer.should_stop = True
            self.trial.set_user_attr("pruned", True)
