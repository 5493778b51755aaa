"""One LightningModule per training objective, and the callbacks of a run."""

from stm_experiments.objectives.blind import RowBlind
from stm_experiments.objectives.destriping import Destriping
from stm_experiments.objectives.reconstruction import Reconstruction
from stm_experiments.objectives.stacked import Stacked
from stm_experiments.objectives.variational import Variational

__all__ = ["Destriping", "Reconstruction", "RowBlind", "Stacked", "Variational"]
