"""Pictures: each function returns a matplotlib `Figure`, which `save_figure` writes as PNG."""

from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.latent_pca import latent_pca
from stm_experiments.figures.network_diagram import network_diagram
from stm_experiments.figures.patch_montage import patch_montage
from stm_experiments.figures.reconstruction_grid import reconstruction_grid
from stm_experiments.figures.topograph_sheets import (
    artefact_sheet,
    simulation_sheet,
    topograph_sheet,
)
from stm_experiments.figures.training_curves import training_curves
from stm_experiments.figures.whole_image import whole_image

__all__ = [
    "artefact_sheet",
    "latent_pca",
    "network_diagram",
    "patch_montage",
    "reconstruction_grid",
    "save_figure",
    "simulation_sheet",
    "topograph_sheet",
    "training_curves",
    "whole_image",
]
