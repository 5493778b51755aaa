"""BM3D, where its package is installed."""

import importlib
from typing import Any

from stm_experiments.core.noise import noise_sigma
from stm_experiments.models.baselines.filters import Filter, Image, check_strength


class BM3D(Filter):
    """Block matching and 3D filtering (Dabov et al. 2007), by the authors' package ``bm3d``.

    The package may be used for non-commercial purposes only, so it is never installed with this
    one.

    Args:
        sigma: Standard deviation of the noise. None: 3 times the white noise estimated from the
            image. That is best for the paper's noise, simulated and published (MSE .0023 to .0031
            on the five lattices, with once the white noise .0032 and up), which has striation as
            well; for white noise alone 2 times is.

    Raises:
        ValueError: If sigma is not above 0, or the package is not installed.
    """

    label = "BM3D"

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        check_strength(sigma, "sigma")
        try:
            self._package: Any = importlib.import_module("bm3d")
        except ImportError:
            raise ValueError(
                "BM3D is not installed: pip install bm3d (its licence is for non-commercial use)"
            ) from None
        self.sigma = sigma

    def denoise(self, image: Image) -> Image:
        """One image [H, W] -> the same shape."""
        sigma = self.sigma or 3 * noise_sigma(image)
        return self._package.bm3d(image, sigma) if sigma > 0 else image
