"""Autoencoders for scanning tunnelling microscopy: simulate, train, look."""

from stm_experiments.io import read_scan
from stm_experiments.models.checkpoint import load
from stm_experiments.restoration.denoise import denoise
from stm_experiments.simulator import render_topographs

__all__ = ["denoise", "load", "read_scan", "render_topographs"]
