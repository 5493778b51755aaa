"""One network per file: plain modules, [B, 1, H, W] on [-1, 1] to the same."""

from stm_experiments.models.bm3d import BM3D
from stm_experiments.models.bragg import BraggFilter
from stm_experiments.models.cae_a import CAEA
from stm_experiments.models.cae_b import CAEB
from stm_experiments.models.denoiser import Denoiser
from stm_experiments.models.destripe import Destripe
from stm_experiments.models.filters import (
    Gaussian,
    Median,
    NonLocalMeans,
    TotalVariation,
    Wavelet,
)
from stm_experiments.models.mlp import MLP
from stm_experiments.models.patch_pca import PatchPCA
from stm_experiments.models.pca import PCA
from stm_experiments.models.rvae import RVAE
from stm_experiments.models.rvae_coordinates import RVAECoordinates
from stm_experiments.models.rvae_poster import RVAEPoster
from stm_experiments.models.stacked_autoencoder import StackedAutoencoder
from stm_experiments.models.stripe_cae import StripeCAE
from stm_experiments.models.stripes import (
    DetectAndInterpolate,
    MedianOfDifferences,
    RowMedian,
)
from stm_experiments.models.vae import VAE

__all__ = [
    "BM3D",
    "CAEA",
    "CAEB",
    "MLP",
    "PCA",
    "RVAE",
    "VAE",
    "BraggFilter",
    "Denoiser",
    "Destripe",
    "DetectAndInterpolate",
    "Gaussian",
    "Median",
    "MedianOfDifferences",
    "NonLocalMeans",
    "PatchPCA",
    "RVAECoordinates",
    "RVAEPoster",
    "RowMedian",
    "StackedAutoencoder",
    "StripeCAE",
    "TotalVariation",
    "Wavelet",
]
