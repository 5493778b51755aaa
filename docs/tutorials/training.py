# %% [markdown]
# # Train CAE-A in miniature
#
# The paper's convolutional autoencoder on simulated patches of 17 x 17 px, without the commands. With
# them it is `stm-train`; sizes here are small, so that the page is run in seconds.

# %%
from functools import partial

import torch
from lightning import Trainer
from torch.optim import Adam

import stm_experiments as stm
from stm_experiments.models import CAEA
from stm_experiments.training import Reconstruction

torch.manual_seed(0)
source = stm.SimulatedData("fcc", size=96, images_per_epoch=16, validation_images=2, test_images=4)
data = stm.PatchData(source)
net = CAEA()
model = Reconstruction(net, partial(Adam, lr=0.005))
trainer = Trainer(
    max_epochs=2,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(model, data)

# %% [markdown]
# Held-out patches and what the network makes of them. Ten numbers cannot hold a patch: see
# `stm-train`'s table, where PCA with 20 numbers does better.

# %%
from stm_experiments.figures.reconstruction_grid import reconstruction_grid

batch = next(iter(data.loader("test")))
with torch.inference_mode():
    final = net(batch.noisy[:3])
labels = ["fcc, image 0"] * 3
reconstruction_grid(
    batch.noisy[:3], batch.clean[:3], None, final, labels, title="CAE-A, two epochs"
)
