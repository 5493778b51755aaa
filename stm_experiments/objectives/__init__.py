"""One LightningModule per training objective, and the callbacks of a run."""

from stm_experiments.objectives.blind import RowBlind
from stm_experiments.objectives.reconstruction import Reconstruction

__all__ = ["Reconstruction", "RowBlind"]
