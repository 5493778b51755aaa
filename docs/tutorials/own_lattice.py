# %% [markdown]
# # A lattice of your own
#
# A surface that the package does not have: hexagonal boron nitride, two species, one lower than the
# other. The guide *Add a lattice* makes it a choice of the commands: the same lines and a file of two.

# %%
import stm_experiments as stm
from stm_experiments.simulator import FlatLattice, Site, add_lattice

hbn = FlatLattice(
    name="tutorial_hbn",
    spread=14,  # px per lattice constant
    ratio=1,  # |b| / |a|
    gamma=60,  # angle between a and b, degrees
    fold=3,
    sites=(Site("N", 0.0, 0.0, 1.0, 0.16), Site("B", 1 / 3, 1 / 3, 0.5, 0.16)),
)
add_lattice(hbn)

# %% [markdown]
# Look at it before you train on it.

# %%
from stm_experiments.figures.topograph_sheets import simulation_sheet

images = stm.simulate([hbn], seeds=[0], noise="paper", size=128)
simulation_sheet(images, [hbn], "hexagonal boron nitride")

# %% [markdown]
# The finder of lattices knows nothing of it, and finds two atoms in the cell:

# %%
from stm_experiments.lattice.fit import find_lattice

fit = find_lattice(images.noisy[0, 0].numpy())
len(fit.basis), fit.vectors.round(2)
