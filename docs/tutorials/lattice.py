# %% [markdown]
# # A lattice, measured
#
# Lattice vectors with standard errors, and every site of the image.

# %%
import stm_experiments as stm
from stm_experiments.lattice.fit import find_lattice

topograph = stm.simulate(["srtio3"], seeds=[3], noise="paper", size=160)
fit = find_lattice(topograph.noisy[0, 0].numpy(), pixel_nm=(0.05, 0.05))
fit.vectors_nm

# %% [markdown]
# Standard errors of the components, nm:

# %%
(fit.covariance.diagonal() ** 0.5 * 0.05).round(5)

# %% [markdown]
# Sites, and how many of them are empty:

# %%
len(fit.sites), int((~fit.occupied).sum())

# %% [markdown]
# The picture of the command `stm-find-lattice image=scan.sxm`. Strain relative to the mean lattice holds
# the drift of the scanner too: the caption says how much of it changes only from row to row.

# %%
from stm_experiments.figures.lattice_map import lattice_map

lattice_map(topograph.noisy[0, 0], [fit], "SrTiO3, simulated")
