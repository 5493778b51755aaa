"""Autoencoders for scanning tunnelling microscopy: simulate, train, look."""

from stm_experiments.checkpoint import load
from stm_experiments.denoise import denoise
from stm_experiments.formats import read_scan
from stm_experiments.simulator import render_topographs

__all__ = ["denoise", "load", "read_scan", "render_topographs"]
