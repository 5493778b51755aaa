"""One network per file: plain modules, [B, 1, H, W] on [-1, 1] to the same."""

from stm_experiments.models.baselines.bm3d import BM3D
from stm_experiments.models.baselines.bragg import BraggFilter
from stm_experiments.models.baselines.filters import (
    Gaussian,
    Median,
    NonLocalMeans,
    TotalVariation,
    Wavelet,
)
from stm_experiments.models.baselines.patch_pca import PatchPCA
from stm_experiments.models.baselines.patch_wiener import PatchWiener
from stm_experiments.models.baselines.pca import PCA
from stm_experiments.models.baselines.stripes import (
    DetectAndInterpolate,
    MedianOfDifferences,
    RowMedian,
)
from stm_experiments.models.codes.context_code import ContextCode
from stm_experiments.models.codes.two_decoders import TwoDecoders
from stm_experiments.models.networks.cae_a import CAEA
from stm_experiments.models.networks.cae_b import CAEB
from stm_experiments.models.networks.denoiser import Denoiser
from stm_experiments.models.networks.destripe import Destripe
from stm_experiments.models.networks.mlp import MLP
from stm_experiments.models.networks.rvae import RVAE
from stm_experiments.models.networks.rvae_coordinates import RVAECoordinates
from stm_experiments.models.networks.rvae_poster import RVAEPoster
from stm_experiments.models.networks.stacked_autoencoder import StackedAutoencoder
from stm_experiments.models.networks.stripe_cae import StripeCAE
from stm_experiments.models.networks.surface_denoiser import SurfaceDenoiser
from stm_experiments.models.networks.swin_denoiser import SwinDenoiser
from stm_experiments.models.networks.vae import VAE

__all__ = [
    "BM3D",
    "CAEA",
    "CAEB",
    "MLP",
    "PCA",
    "RVAE",
    "VAE",
    "BraggFilter",
    "ContextCode",
    "Denoiser",
    "Destripe",
    "DetectAndInterpolate",
    "Gaussian",
    "Median",
    "MedianOfDifferences",
    "NonLocalMeans",
    "PatchPCA",
    "PatchWiener",
    "RVAECoordinates",
    "RVAEPoster",
    "RowMedian",
    "StackedAutoencoder",
    "StripeCAE",
    "SurfaceDenoiser",
    "SwinDenoiser",
    "TotalVariation",
    "TwoDecoders",
    "Wavelet",
]
