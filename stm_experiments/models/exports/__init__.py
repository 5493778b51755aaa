"""Trained networks as files for other programs, compared with PyTorch right after writing."""

from stm_experiments.models.exports.checked import BOUND, Written, export, exportable
from stm_experiments.models.exports.formats import FORMATS

__all__ = ["BOUND", "FORMATS", "Written", "export", "exportable"]
