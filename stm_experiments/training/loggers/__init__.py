"""What a run tells others: steps as a table, TensorBoard, Weights & Biases."""

from stm_experiments.training.loggers.results import close_loggers, log_results
from stm_experiments.training.loggers.step_table import StepTable

__all__ = ["StepTable", "close_loggers", "log_results"]
