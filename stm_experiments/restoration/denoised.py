"""What denoising returns, and its comparison with a partner without noise."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity
from torch import Tensor

from stm_experiments.core.arrays import Array
from stm_experiments.core.intervals import psnr_of_mse
from stm_experiments.core.normalisation import AffineMap, denormalise
from stm_experiments.core.planes import centred_axes
from stm_experiments.io.scan import Scan
from stm_experiments.models.interfaces import Network
from stm_experiments.restoration.fitness import Fitness
from stm_experiments.restoration.measured import MeasuredPart
from stm_experiments.restoration.whole_atoms import UncertainAtoms


class NetworkRun(NamedTuple):
    """One pass of a scan through a network.

    Attributes:
        net: The network.
        stride: Step between its windows, px, if it has one.
        normalisation: Name of the map to [-1, 1].
        part: The measured part of the scan.
        affine: The map from [-1, 1] to the scan's unit.
        image: The network's input, [h, w] on [-1, 1].
        output: Its output, [h, w].
        deviation: Its uncertainty before calibration, standard deviation, [h, w]; None: not wanted.
        fitness: Whether the network fits the scan; None: not known for this kind of network.
        unrepaired: Damage that was left as recorded, [h, w] bool; None: not a network that repairs.
    """

    net: Network
    stride: int
    normalisation: str
    part: MeasuredPart
    affine: AffineMap
    image: Tensor
    output: Tensor
    deviation: Tensor | None
    fitness: Fitness | None = None
    unrepaired: Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Denoised(Scan):
    """A scan after a network.

    Attributes:
        before: The scan that the network received, after its preparation.
        affine: The map from the network's scale to ``unit``.
        model: The network in words.
        prepared: Names of the steps of the preparation.
        uncertainty: [H, W] in ``unit``, or None; see ``denoise``.
        fitness: Whether the model fits the scan, with reasons; None: an autoencoder or a filter,
            for which nothing is judged.
        uncertain_atoms: Atoms that may be invented or lost; None: not a mixture of experts, or no
            uncertainty.
    """

    before: Scan
    affine: AffineMap
    model: str
    prepared: tuple[str, ...] = ()
    uncertainty: Array | None = None
    fitness: Fitness | None = None
    uncertain_atoms: UncertainAtoms | None = None

    def _repr_html_(self) -> str:
        """Show scan, result and residual in a notebook, with what was done and what was judged."""
        before = self.before.data
        return self.html(
            {"before": before, "after": self.data, "removed": before - self.data}, self.history
        )

    @property
    def scale(self) -> float:
        """Height above ``level`` that the network received as 1, in ``unit``."""
        return self.affine.scale

    @property
    def level(self) -> Array:
        """Height that the network received as 0, with its tilt, [H, W] in ``unit``; NaN in gaps."""
        level = denormalise(np.zeros(self.mask.shape, np.float32), self.affine)
        level[~self.mask] = np.nan
        return level

    def without_tilt(self, heights: Array) -> Array:
        """Return heights [H, W] for a picture: without the plane of the scan, NaN in gaps."""
        slopes = (self.affine.row_slope, self.affine.column_slope)
        flat = np.array(heights)
        for slope, axis, places in zip(slopes, (1, 0), centred_axes(flat.shape), strict=True):
            measured = self.mask.sum(axis)
            flat -= slope * (places - np.average(places.ravel(), weights=measured))
        flat[~self.mask] = np.nan
        return flat


class Comparison(NamedTuple):
    """A denoised scan against its partner without noise.

    Attributes:
        measures: ``mse_before``, ``mse_after``, ``psnr_before`` and so on.
        fitted: The partner fitted to the scan, [H, W] in the scan's unit.
    """

    measures: dict[str, float]
    fitted: Array

    def sentence(self) -> str:
        """Return the measures in words."""
        values = ", ".join(f"{name} {value:.4g}" for name, value in self.measures.items())
        return f"against the clean image, fitted to the scan by an affine map and a plane: {values}"


def compare_with_clean(result: Denoised, clean: Scan) -> Comparison:
    """Measure a denoised scan, and the scan before, against a partner without noise.

    The partner is first fitted to the scan before by an affine map and a plane (least squares over
    the measured pixels), as it is rarely scaled or levelled alike. All measures are those of the
    network's scale [-1, 1]: mean squared error per measured pixel; PSNR, 10 log10(4 / MSE), dB;
    SSIM as scikit-image defines it (7x7 uniform window, data range 2), averaged over the windows
    in which all pixels are measured.

    Args:
        result: What ``denoise`` returned.
        clean: [H, W] of the same shape, any unit.

    Raises:
        ValueError: If the shapes differ.
    """
    if clean.data.shape != result.data.shape:
        raise ValueError(
            f"the clean image has {clean.data.shape[0]} x {clean.data.shape[1]} px, the scan "
            f"{result.data.shape[0]} x {result.data.shape[1]} px"
        )
    mask = result.mask & clean.mask
    level = np.where(mask, result.level, 0.0)
    before, after = ((data - level) / result.scale for data in (result.before.data, result.data))
    rows, columns = np.indices(mask.shape)
    terms = np.stack([clean.data, np.ones(mask.shape), rows, columns], axis=-1)
    terms /= np.abs(terms[mask]).max(axis=0) + np.finfo(float).tiny
    fitted = terms @ np.linalg.lstsq(terms[mask], before[mask], rcond=None)[0]
    whole_windows = ndimage.minimum_filter(mask, 7, mode="constant", cval=False)
    measures: dict[str, float] = {}
    for name, image in (("before", before), ("after", after)):
        mse = float(np.mean((image - fitted)[mask] ** 2))
        _, similarity = structural_similarity(image, fitted, data_range=2, full=True)
        measures |= {
            f"mse_{name}": mse,
            f"psnr_{name}": psnr_of_mse(mse),
            f"ssim_{name}": float(similarity[whole_windows].mean()),
        }
    return Comparison(measures, fitted * result.scale + level)
