"""What a run records while it trains, one callback per file."""

from stm_experiments.training.callbacks.checkpoint_writer import CheckpointWriter
from stm_experiments.training.callbacks.divergence import Diverged
from stm_experiments.training.callbacks.epoch_lines import EpochLines
from stm_experiments.training.callbacks.first_reconstruction import FirstReconstruction
from stm_experiments.training.callbacks.gradient_norm import GradientNorm
from stm_experiments.training.callbacks.history import History
from stm_experiments.training.callbacks.patience import Patience
from stm_experiments.training.callbacks.pruning import Pruning

__all__ = [
    "CheckpointWriter",
    "Diverged",
    "EpochLines",
    "FirstReconstruction",
    "GradientNorm",
    "History",
    "Patience",
    "Pruning",
]
