"""A lattice, a noise, a network, an objective and a callback of one's own."""

from stm_experiments.simulator import add_lattice
from stm_lab.callback import CodeSpread
from stm_lab.lattice import GRAPHENE
from stm_lab.network import TwoLayers
from stm_lab.noise import PumpedNoise, PumpNoise
from stm_lab.objective import Absolute

__all__ = ["Absolute", "CodeSpread", "PumpNoise", "PumpedNoise", "TwoLayers"]

add_lattice(GRAPHENE)
