"""What a run tells others: steps as a table, TensorBoard, Weights & Biases."""

from stm_experiments.training.loggers.results import close_loggers, log_results
from stm_experiments.training.loggers.step_table import StepTable
from stm_experiments.training.loggers.wandb_run import WandbRun

__all__ = ["StepTable", "WandbRun", "close_loggers", "log_results"]
