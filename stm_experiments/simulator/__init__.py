"""Simulated STM topographs: lattice, drawing, noise. Tensors in, tensors out."""

from stm_experiments.simulator.detector import DetectorNoise
from stm_experiments.simulator.lattice import (
    LATTICES,
    PRESETS,
    Atoms,
    Lattice,
    Preset,
    place_atoms,
)
from stm_experiments.simulator.sample import SampleNoise
from stm_experiments.simulator.scan import ScanNoise
from stm_experiments.simulator.topographs import (
    NOISES,
    Noise,
    Topographs,
    render_topographs,
    simulate,
)

__all__ = [
    "LATTICES",
    "NOISES",
    "PRESETS",
    "Atoms",
    "DetectorNoise",
    "Lattice",
    "Noise",
    "Preset",
    "SampleNoise",
    "ScanNoise",
    "Topographs",
    "place_atoms",
    "render_topographs",
    "simulate",
]
