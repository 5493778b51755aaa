"""Training: one LightningModule per objective, callbacks, loggers and the run folder."""

from stm_experiments.training.centring import Centred
from stm_experiments.training.context import Context
from stm_experiments.training.contrastive import Contrastive
from stm_experiments.training.destriping import Destriping
from stm_experiments.training.labelled import Labelled
from stm_experiments.training.reconstruction import Reconstruction
from stm_experiments.training.row_blind import RowBlind
from stm_experiments.training.schedules import CosineWarmUp
from stm_experiments.training.stacked import Stacked
from stm_experiments.training.variational import Variational

__all__ = [
    "Centred",
    "Context",
    "Contrastive",
    "CosineWarmUp",
    "Destriping",
    "Labelled",
    "Reconstruction",
    "RowBlind",
    "Stacked",
    "Variational",
]
