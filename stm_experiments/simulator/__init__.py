"""Simulated STM topographs: lattice, drawing, noise. Tensors in, tensors out."""

from stm_experiments.simulator.batch import Topographs
from stm_experiments.simulator.lattices.bulk import (
    CUT_LATTICES,
    PRESETS,
    Atoms,
    Lattice,
    Preset,
    place_atoms,
)
from stm_experiments.simulator.lattices.flat import FlatLattice, Site, Substitute, Wave
from stm_experiments.simulator.lattices.registry import LATTICES, AnyLattice
from stm_experiments.simulator.microscope.detector import DetectorNoise
from stm_experiments.simulator.microscope.motion import MotionNoise
from stm_experiments.simulator.microscope.scan import ScanNoise
from stm_experiments.simulator.microscope.stripes import StripeNoise
from stm_experiments.simulator.microscope.tip import TipNoise
from stm_experiments.simulator.noises import NOISES, Noise
from stm_experiments.simulator.surface.defects import DefectCode, Defects
from stm_experiments.simulator.surface.sample import SampleNoise
from stm_experiments.simulator.topographs import render_topographs, simulate

__all__ = [
    "CUT_LATTICES",
    "LATTICES",
    "NOISES",
    "PRESETS",
    "AnyLattice",
    "Atoms",
    "DefectCode",
    "Defects",
    "DetectorNoise",
    "FlatLattice",
    "Lattice",
    "MotionNoise",
    "Noise",
    "Preset",
    "SampleNoise",
    "ScanNoise",
    "Site",
    "StripeNoise",
    "Substitute",
    "TipNoise",
    "Topographs",
    "Wave",
    "place_atoms",
    "render_topographs",
    "simulate",
]
