"""Measurements that anybody can repeat: ``python -m stm_experiments.benchmarks.<topic>``."""
