"""Autoencoders for scanning tunnelling microscopy: simulate, train, look."""

from stm_experiments.checkpoint import load
from stm_experiments.simulator import render_topographs

__all__ = ["load", "render_topographs"]
