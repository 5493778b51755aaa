"""One network per file: plain modules, [B, 1, H, W] on [-1, 1] to the same."""

from stm_experiments.models.cae_a import CAEA
from stm_experiments.models.cae_b import CAEB
from stm_experiments.models.mlp import MLP
from stm_experiments.models.pca import PCA

__all__ = ["CAEA", "CAEB", "MLP", "PCA"]
