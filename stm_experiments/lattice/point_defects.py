"""Point defects of a surface: bright and dark spots in the part of an image that is not periodic.

The periodic part (lattice, superlattice, charge-density waves, slow background) is what
``BraggFilter`` keeps. In the rest, a defect as wide as an atom is found with a matched filter, the
negative Laplacian of a Gaussian, of several widths: its response over the robust standard deviation
of all responses is the score.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.feature import peak_local_max

from stm_experiments.core.arrays import Array, Mask, Points
from stm_experiments.core.images import is_rounding
from stm_experiments.core.planes import subtract_plane
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.atoms import match_points
from stm_experiments.lattice.fit import LatticeFit
from stm_experiments.lattice.measured import as_measured
from stm_experiments.lattice.occupancy.mean_cell import Layout, average_cell
from stm_experiments.models.baselines.bragg import BraggFilter

BORDER = 10  # px
WIDTHS = (1.5, 2.0, 2.8)  # of defects, standard deviations, px
_LEAST = 0.04  # least standard deviation of the responses, of the atoms' 5-95 % range
_SLOW = 16.0  # width of the background, px: what varies over more is no atom
_LOBE = 0.3  # strength of a defect's ring of the opposite sign, at most
_PASSES = 2
_LEVELS = 8  # classes of the lattice's height
_COARSE = 4  # step of the pixels around which the local deviation is taken, px
_UNEXPLAINED = 0.5  # least height that the mean cell leaves of a defect, of its height
_NORMAL_MAD = 1.4826  # standard deviation over median absolute deviation of a normal distribution


class DetectedDefects(NamedTuple):
    """Point defects, the strongest first. P defects.

    Attributes:
        position: (row, column), [P, 2] px; the centre of the first pixel is 0.
        bright: True if the image is higher than its lattice, False if it is lower, [P].
        score: Response of the matched filter over the robust standard deviation of all, [P].
        height: Above the lattice, negative below it, of a Gaussian with the filter's response, in
            the image's unit, [P].
        width: Standard deviation of this Gaussian, one of ``WIDTHS``, [P] px.
    """

    position: Points
    bright: Mask
    score: Array
    height: Array
    width: Array

    def select(self, which: Mask) -> "DetectedDefects":
        """Return those of the defects that a mask [P] names."""
        return DetectedDefects(
            self.position[which],
            self.bright[which],
            self.score[which],
            self.height[which],
            self.width[which],
        )


class _Levelled(NamedTuple):
    """An image without its plane.

    Attributes:
        data: 0 where not measured, [H, W].
        valid: Where it was measured, [H, W].
        contrast: 5-95 % range of the image without its slow background.
    """

    data: Array
    valid: Mask
    contrast: float


class _Responses(NamedTuple):
    """The matched filters at each pixel.

    Attributes:
        response: Of the filter with the highest score, [H, W].
        score: Highest score, [H, W].
        width: Of the filter with the highest score, [H, W] px.
    """

    response: Array
    score: Array
    width: Array


def find_point_defects(
    image: Scan | ArrayLike,
    mask: ArrayLike | None = None,
    threshold: float = 6.0,
    smoothing: float = 12.0,
    apart: int = 4,
    border: int = BORDER,
) -> DetectedDefects:
    """Find the point defects of a lattice image.

    Args:
        image: A scan, or [H, W] numbers of any scale and with any plane.
        mask: True where measured, [H, W]; None: the scan's mask, or everywhere.
        threshold: Least score of a defect. Even without noise, a defect is at least
            0.04 x threshold of the 5-95 % range of the image without its slow background.
        smoothing: Distance over which the lattice may vary without counting as defects, px. With
            a much shorter one the lattice includes the defects; with a much longer one strain
            counts as a defect.
        apart: Of two closer defects only the stronger one is reported, px.
        border: Defects closer to the border, or to pixels that were not measured, are left out, px.

    Raises:
        ValueError: If it is no image of at least 32 px, or constant, or not finite where measured.
    """
    measured = as_measured(image, mask)
    data, valid, contrast = _levelled(measured.data, measured.mask)
    inside = ndimage.distance_transform_edt(np.pad(valid, 1))[1:-1, 1:-1] > border
    if not inside.any():
        raise ValueError(f"nothing was measured further than {border} px from a border")
    # A strong defect leaves ghosts in the periodic part around it: its pixels are filled with the
    # lattice, and the periodic part is computed again.
    lattice, spoilt = np.zeros(data.shape), ~valid
    for _ in range(_PASSES):
        lattice = _periodic(np.where(spoilt, lattice, data), smoothing)
        residual = np.where(valid, data - lattice, 0)
        response, score, width = _respond(residual, lattice, inside, contrast)
        spoilt = ~valid | ndimage.binary_dilation(score > 0.5 * threshold, iterations=1)
    score = np.where(inside, score, 0)
    place: NDArray[np.int64] = peak_local_max(  # type: ignore[no-untyped-call, unused-ignore]
        score, min_distance=apart, threshold_abs=threshold, exclude_border=False
    )
    rows, columns = place.T
    return _without_lobes(
        DetectedDefects(
            place.astype(float),
            response[rows, columns] > 0,
            score[rows, columns],
            response[rows, columns],
            width[rows, columns],
        )
    )


def _levelled(data: Array, mask: Mask | None) -> _Levelled:
    if data.ndim != 2 or min(data.shape) < 32:
        raise ValueError(f"defects are sought in images of at least 32 px, not in {data.shape}")
    valid = np.ones(data.shape, bool) if mask is None else mask
    if valid.shape != data.shape or not valid.any() or not np.isfinite(data[valid]).all():
        raise ValueError("the image is not finite where it was measured, or was not measured")
    largest = float(np.abs(data[valid]).max())
    data = np.where(valid, subtract_plane(data, valid), 0)
    # Without the background: steps and slow waves say nothing of the atoms' contrast.
    low, high = np.percentile((data - ndimage.gaussian_filter(data, _SLOW))[valid], [5, 95])
    if is_rounding(float(high - low), largest):
        raise ValueError("the image is constant or nothing but a plane: there is nothing to find")
    return _Levelled(data, valid, float(high - low))


def _periodic(data: Array, smoothing: float) -> Array:
    """Return the periodic part of an image [H, W]."""
    scale = data.std() or 1.0
    scaled = torch.from_numpy(data / scale).float()[None, None]
    periodic: Array = BraggFilter(smoothing=smoothing)(scaled)[0, 0].double().numpy() * scale
    return periodic


def _respond(residual: Array, lattice: Array, inside: Mask, contrast: float) -> _Responses:
    """Filter a residual with all widths.

    A response is compared with those at pixels of equal lattice height, because the periodic part
    misses some of every atom, and atoms vary more than the gaps between them. It is also compared
    with those around it, because a wall between two domains is no row of defects.

    Args:
        residual: Image less lattice, [H, W].
        lattice: The periodic part, [H, W].
        inside: Pixels that are far enough from the border, [H, W].
        contrast: 5-95 % range of the atoms.
    """
    ends = np.quantile(lattice[inside], np.linspace(0, 1, _LEVELS + 1)[1:-1])
    level = np.searchsorted(ends, lattice)
    best, score, widest = (np.zeros(residual.shape) for _ in range(3))
    for width in WIDTHS:
        # The response at the top of a Gaussian of this width and height h is h.
        response = -2 * width**2 * ndimage.gaussian_laplace(residual, width)
        deviation = np.full(residual.shape, _LEAST * contrast)
        for number in range(_LEVELS):
            here = level == number
            if (here & inside).any():
                response[here] -= np.median(response[here & inside])
                typical = _NORMAL_MAD * np.median(np.abs(response[here & inside]))
                deviation[here] = np.maximum(deviation[here], typical)
        around = ndimage.median_filter(np.abs(response[::_COARSE, ::_COARSE]), 9)
        around = np.kron(around, np.ones((_COARSE, _COARSE)))
        around = around[: response.shape[0], : response.shape[1]]
        deviation = np.maximum(deviation, _NORMAL_MAD * around)
        relative = np.abs(response) / deviation
        better = relative > score
        best, widest = np.where(better, response, best), np.where(better, width, widest)
        score = np.maximum(score, relative)
    return _Responses(best, score, widest)


def _without_lobes(defects: DetectedDefects) -> DetectedDefects:
    """Drop the faint rings of the opposite sign that the filter makes around each defect."""
    position, bright, score = defects.position, defects.bright, defects.score
    far = np.linalg.norm(position[:, None] - position, axis=2) > 4 * max(WIDTHS)
    strong = score[:, None] > _LOBE * score
    keep = (far | strong | (bright[:, None] == bright)).all(1)
    return defects.select(keep)


def without_cell(defects: DetectedDefects, image: Scan | ArrayLike, fit: LatticeFit) -> Mask:
    """Return which defects are not explained by the lattice's mean cell, [P].

    What the cell itself holds at the place, such as a corner hole, is no defect.

    Args:
        defects: Of an image.
        image: The same image, a scan or [H, W].
        fit: Its lattice.
    """
    data, valid, _ = _levelled(*as_measured(image)[:2])
    band = (0.16 * fit.spacing, 0.35 * fit.spacing)
    narrow, wide = (ndimage.gaussian_filter(data, width) for width in band)
    ideal = fit.origin + (fit.cell + fit.basis[fit.kind]) @ fit.vectors
    layout = Layout(fit.vectors, ideal, fit.sites - fit.shift, fit.spacing)
    cell = average_cell(narrow - wide, valid, layout).at(defects.position)
    place = tuple(np.round(defects.position).astype(int).T)
    rest = (narrow - wide)[place] - cell
    # The band-pass leaves this of the top of a Gaussian of the defect's width.
    passed = [defects.width**2 / (defects.width**2 + width**2) for width in band]
    share = rest / (defects.height * (passed[0] - passed[1]))
    return np.asarray((share > _UNEXPLAINED) | np.isnan(share), bool)


class DetectionCounts(NamedTuple):
    """Numbers of defects, of one sign or both, in one image or many.

    Attributes:
        right: Detected ones that are true.
        detected: All detected ones.
        true: All true ones.
    """

    right: int
    detected: int
    true: int

    def plus(self, other: "DetectionCounts") -> "DetectionCounts":
        """Return the sums."""
        return DetectionCounts(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def precision(self) -> float:
        """Share of the detected defects that are right; NaN without any."""
        return self.right / self.detected if self.detected else math.nan

    @property
    def recall(self) -> float:
        """Share of the true defects that are detected; NaN without any."""
        return self.right / self.true if self.true else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN with neither detected nor true defects."""
        total = self.detected + self.true
        return 2 * self.right / total if total else math.nan


def count_detections(
    defects: DetectedDefects, position: Points, bright: Mask, radius: float
) -> dict[str, DetectionCounts]:
    """Compare detected defects with the truth.

    A detected defect is right if the Hungarian method pairs it with a true one of the same sign at
    most ``radius`` px away.

    Args:
        defects: The detected ones.
        position: True positions (row, column), [T, 2] px.
        bright: Whether the true ones are bright, [T].
        radius: px.

    Returns:
        Counts of ``bright``, ``dark`` and ``all``.
    """
    counts = {}
    for name, sign in (("bright", True), ("dark", False)):
        true, detected = position[bright == sign], defects.position[defects.bright == sign]
        pairs = match_points(true, detected, radius)
        counts[name] = DetectionCounts(len(pairs.first), len(detected), len(true))
    return {**counts, "all": counts["bright"].plus(counts["dark"])}


def inside_border(position: Points, shape: tuple[int, int], border: float = BORDER) -> Mask:
    """Return which positions [P, 2] lie where ``find_point_defects`` searches, [P]."""
    inside = (position > border) & (position < np.array(shape) - 1 - border)
    return np.asarray(inside.all(1))
