"""Graphene as a flat surface."""

from stm_experiments.simulator import FlatLattice, Site

GRAPHENE = FlatLattice(
    name="graphene",
    spread=14,  # px per lattice constant
    ratio=1,  # |b| / |a|
    gamma=60,  # angle between a and b, degrees
    fold=3,  # rotation axis of the sublattices, which the tip sees with unequal heights
    sites=(Site("A", 0.0, 0.0, 1.0, 0.16), Site("B", 1 / 3, 1 / 3, 0.6, 0.16)),
)
