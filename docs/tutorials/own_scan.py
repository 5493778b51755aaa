# %% [markdown]
# # Your own scan first
#
# Read a scan, look at it, denoise it, and see what was taken away. Here a simulated scan stands in for
# the file of your microscope: replace the first cell by `scan = stm.read_scan("scan.sxm")`.

# %%
import numpy as np

import stm_experiments as stm
from stm_experiments.io import Scan

topograph = stm.simulate(["tise2"], seeds=[1], noise="paper", size=160).noisy[0, 0].numpy()
mask = np.ones(topograph.shape, bool)
scan = Scan(2e-11 * topograph, mask, "m", (0.05, 0.05), "Z", name="scan.sxm")
scan

# %% [markdown]
# A picture with scale bar, as wide as a column of a journal. `figure.savefig("scan.pdf")` writes it.

# %%
stm.plot(scan)

# %% [markdown]
# Heights along a line from one (row, column) to another, and the spectrum with its Bragg peaks.

# %%
stm.profile(scan, (80, 10), (80, 150))

# %%
stm.spectrum(scan)

# %% [markdown]
# The shipped denoiser. The history says what was done and whether the scan is inside what the network
# learnt; read it before you believe the result.

# %%
result = stm.denoise(scan)
"\n".join(result.history)

# %% [markdown]
# Before, after and the residual. The caption measures what the residual holds: lattice peaks, edges,
# means of rows and areas, each beside its value for white noise.

# %%
stm.compare(scan, result)

# %% [markdown]
# `result.save("scan_denoised.gwy")` keeps unit, pixel size and history. On the command line the same is
# `stm-reconstruct image=scan.sxm`.
