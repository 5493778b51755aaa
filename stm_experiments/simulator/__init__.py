"""Simulated STM topographs: lattice, drawing, noise. Tensors in, tensors out."""

from stm_experiments.simulator.batch import Topographs
from stm_experiments.simulator.defects import Defects
from stm_experiments.simulator.detector import DetectorNoise
from stm_experiments.simulator.lattice import (
    LATTICES,
    PRESETS,
    Atoms,
    Lattice,
    Preset,
    place_atoms,
)
from stm_experiments.simulator.motion import MotionNoise
from stm_experiments.simulator.noises import NOISES, Noise
from stm_experiments.simulator.sample import SampleNoise
from stm_experiments.simulator.scan import ScanNoise
from stm_experiments.simulator.tip import TipNoise
from stm_experiments.simulator.topographs import render_topographs, simulate

__all__ = [
    "LATTICES",
    "NOISES",
    "PRESETS",
    "Atoms",
    "Defects",
    "DetectorNoise",
    "Lattice",
    "MotionNoise",
    "Noise",
    "Preset",
    "SampleNoise",
    "ScanNoise",
    "TipNoise",
    "Topographs",
    "place_atoms",
    "render_topographs",
    "simulate",
]
