"""Simulated STM topographs: lattice, drawing, noise. Tensors in, tensors out."""

from stm_experiments.simulator.any_surface import SurfaceScans, simulate_any_surfaces
from stm_experiments.simulator.lattices.atoms import Atoms
from stm_experiments.simulator.lattices.cut import Lattice, place_atoms
from stm_experiments.simulator.lattices.flat import FlatLattice, Site, Substitute, Wave
from stm_experiments.simulator.lattices.registry import (
    CUT_LATTICES,
    FLAT_LATTICES,
    LATTICES,
    AnyLattice,
    add_lattice,
    choose_lattices,
    configured_lattice,
)
from stm_experiments.simulator.microscope.detector import DetectorNoise
from stm_experiments.simulator.microscope.motion import MotionNoise
from stm_experiments.simulator.microscope.scan import ScanNoise
from stm_experiments.simulator.microscope.stripes import StripeNoise
from stm_experiments.simulator.microscope.tip import TipNoise
from stm_experiments.simulator.noise import NOISES, Noise
from stm_experiments.simulator.presets import PRESETS, Preset
from stm_experiments.simulator.simulation import Simulator, render_topographs, simulate
from stm_experiments.simulator.surface.defects import DefectCode, Defects
from stm_experiments.simulator.surface.jitter import SampleNoise
from stm_experiments.simulator.topographs import Topographs

__all__ = [
    "CUT_LATTICES",
    "FLAT_LATTICES",
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
    "Simulator",
    "Site",
    "StripeNoise",
    "Substitute",
    "SurfaceScans",
    "TipNoise",
    "Topographs",
    "Wave",
    "add_lattice",
    "choose_lattices",
    "configured_lattice",
    "place_atoms",
    "render_topographs",
    "simulate",
    "simulate_any_surfaces",
]
