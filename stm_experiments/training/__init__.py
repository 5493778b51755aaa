"""One LightningModule per training objective, and the callbacks of a run."""

from stm_experiments.training.blind import RowBlind
from stm_experiments.training.destriping import Destriping
from stm_experiments.training.reconstruction import Reconstruction
from stm_experiments.training.stacked import Stacked
from stm_experiments.training.variational import Variational

__all__ = ["Destriping", "Reconstruction", "RowBlind", "Stacked", "Variational"]
