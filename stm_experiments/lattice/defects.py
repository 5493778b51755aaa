"""Point defects of a surface: bright and dark spots on what an image has beside its lattice.

The periodic part (lattice, superlattice, charge-density waves, slow background) is what
``BraggFilter`` keeps. On the rest, a defect of an atom's width is found with a matched filter, the
negative Laplacian of a Gaussian, at several widths: its response over the robust deviation of all
responses is the score.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.feature import peak_local_max

from stm_experiments.core.planes import subtract_plane
from stm_experiments.lattice.atoms import Points, match
from stm_experiments.models.baselines.bragg import BraggFilter

BORDER = 10  # px
WIDTHS = (1.5, 2.0, 2.8)  # of defects, standard deviations, px
_LEAST = 0.04  # of the atoms' 5-95 % range: no deviation of the responses counts as smaller
_SLOW = 16.0  # what varies over more than that is no atom, px
_LOBE = 0.3  # a defect's ring of the opposite sign is at most that strong
_PASSES = 2
_LEVELS = 8  # heights of the lattice that are told apart
_COARSE = 4  # step of the px in whose neighbourhood the local deviation is taken, px


class DefectSites(NamedTuple):
    """Point defects, the strongest first.

    Attributes:
        position: px of axes 0 and 1, pixel 0 is the first, [P, 2].
        bright: True where the image is higher than its lattice, False where it is lower, [P].
        score: Response of the matched filter over the robust deviation of all, [P].
    """

    position: Points
    bright: NDArray[np.bool_]
    score: NDArray[np.float64]


def find_defects(
    image: ArrayLike,
    mask: ArrayLike | None = None,
    threshold: float = 6.0,
    smoothing: float = 12.0,
    apart: int = 4,
    border: int = BORDER,
) -> DefectSites:
    """Find the point defects of a lattice image.

    Args:
        image: [H, W], numbers of any scale and with any plane, such as a scan's ``data``.
        mask: True where it was measured, [H, W], such as a scan's ``mask``; None: everywhere.
        threshold: Score that a defect needs. No noise makes the faintest one lower than
            0.04 x threshold of the 5-95 % range of the image without what varies slowly.
        smoothing: Distance over which the lattice may vary without being taken for defects, px.
            Much shorter and a defect belongs to the lattice; much longer and strain is a defect.
        apart: Of two closer defects only the stronger one is seen, px.
        border: Defects closer to the border, or to what was not measured, are left out, px.

    Raises:
        ValueError: If it is no image of at least 32 px, or constant, or not finite where measured.
    """
    data, known, contrast = _levelled(image, mask)
    inside = ndimage.distance_transform_edt(np.pad(known, 1))[1:-1, 1:-1] > border
    if not inside.any():
        raise ValueError(f"nothing was measured further than {border} px from a border")
    # A strong defect leaves ghosts in the periodic part around it: so what has been found is filled
    # with the lattice, and the lattice is taken anew.
    lattice, spoilt = np.zeros(data.shape), ~known
    for _ in range(_PASSES):
        lattice = _periodic(np.where(spoilt, lattice, data), smoothing)
        response, score = _responses(np.where(known, data - lattice, 0), lattice, inside, contrast)
        spoilt = ~known | ndimage.binary_dilation(score > 0.5 * threshold, iterations=1)
    score = np.where(inside, score, 0)
    place = peak_local_max(score, min_distance=apart, threshold_abs=threshold, exclude_border=False)
    rows, columns = place.T
    found = DefectSites(place.astype(float), response[rows, columns] > 0, score[rows, columns])
    return _without_lobes(found)


def _levelled(image: ArrayLike, mask: ArrayLike | None) -> tuple[Points, NDArray[np.bool_], float]:
    """The image without its plane, 0 where it was not measured; where it was; its contrast."""
    data = np.asarray(image, np.float64)
    if data.ndim != 2 or min(data.shape) < 32:
        raise ValueError(f"defects are sought in images of at least 32 px, not in {data.shape}")
    known = np.ones(data.shape, bool) if mask is None else np.asarray(mask, bool)
    if known.shape != data.shape or not known.any() or not np.isfinite(data[known]).all():
        raise ValueError("the image is not finite where it was measured, or was not measured")
    data = np.where(known, subtract_plane(data, known), 0)
    # Of steps and slow waves the contrast of the atoms does not know.
    low, high = np.percentile((data - ndimage.gaussian_filter(data, _SLOW))[known], [5, 95])
    if high <= low:
        raise ValueError("the image is constant: there is nothing to find")
    return data, known, float(high - low)


def _periodic(data: Points, smoothing: float) -> Points:
    """The periodic part of an image [H, W]."""
    scale = data.std() or 1.0
    scaled = torch.from_numpy(data / scale).float()[None, None]
    return BraggFilter(smoothing=smoothing)(scaled)[0, 0].double().numpy() * scale


def _responses(
    residual: Points, lattice: Points, inside: NDArray[np.bool_], contrast: float
) -> tuple[Points, Points]:
    """The matched filters' response of the highest score at each px, and this score.

    The filter's response is compared with those at px where the lattice is as high: what the
    periodic part has missed of all atoms is no defect, and atoms vary more than the gaps between
    them. And with those around it: a wall between two domains is no row of defects.
    """
    ranks = np.searchsorted(np.quantile(lattice[inside], np.linspace(0, 1, _LEVELS + 1)[1:-1]),
                            lattice)  # fmt: skip
    best, score = np.zeros(residual.shape), np.zeros(residual.shape)
    for width in WIDTHS:
        # A Gaussian of this width and height h has the response h at its top.
        response = -2 * width**2 * ndimage.gaussian_laplace(residual, width)
        deviation = np.full(residual.shape, _LEAST * contrast)
        for rank in range(_LEVELS):
            here = ranks == rank
            if (here & inside).any():
                response[here] -= np.median(response[here & inside])
                typical = 1.4826 * np.median(np.abs(response[here & inside]))
                deviation[here] = np.maximum(deviation[here], typical)
        around = ndimage.median_filter(np.abs(response[::_COARSE, ::_COARSE]), 9)
        around = np.kron(around, np.ones((_COARSE, _COARSE)))
        deviation = np.maximum(deviation, 1.4826 * around[: len(response), : response.shape[1]])
        relative = np.abs(response) / deviation
        best, score = np.where(relative > score, response, best), np.maximum(score, relative)
    return best, score


def _without_lobes(found: DefectSites) -> DefectSites:
    """Without the faint rings of the opposite sign that the filter makes around each defect."""
    far = np.linalg.norm(found.position[:, None] - found.position, axis=2) > 4 * max(WIDTHS)
    real = found.score[:, None] > _LOBE * found.score
    keep = (far | real | (found.bright[:, None] == found.bright)).all(1)
    return DefectSites(*(values[keep] for values in found))


class Counts(NamedTuple):
    """How many defects there are, of one sign or both, in one image or many."""

    right: int
    found: int
    true: int

    def plus(self, other: "Counts") -> "Counts":
        """The sums."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def precision(self) -> float:
        """Share of the found ones that are right; NaN without any."""
        return self.right / self.found if self.found else math.nan

    @property
    def recall(self) -> float:
        """Share of the true ones that were found; NaN without any."""
        return self.right / self.true if self.true else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN where there is neither."""
        total = self.found + self.true
        return 2 * self.right / total if total else math.nan


def count_defects(
    found: DefectSites, position: Points, bright: NDArray[np.bool_], radius: float
) -> dict[str, Counts]:
    """Found defects against the truth.

    A found defect is right if the Hungarian method pairs it with a true one of the same sign at
    most ``radius`` px away.

    Args:
        found: The found ones.
        position: True positions, px, [T, 2].
        bright: Whether the true ones are bright, [T].
        radius: px.

    Returns:
        Counts of ``bright``, ``dark`` and ``all``.
    """
    counts = {}
    for name, sign in (("bright", True), ("dark", False)):
        true, seen = position[bright == sign], found.position[found.bright == sign]
        counts[name] = Counts(len(match(true, seen, radius)[0]), len(seen), len(true))
    return {**counts, "all": counts["bright"].plus(counts["dark"])}


def within(position: Points, shape: tuple[int, int], border: float = BORDER) -> NDArray[np.bool_]:
    """Which positions [P, 2] are far enough from the border to be sought by ``find_defects``."""
    inside = (position > border) & (position < np.array(shape) - 1 - border)
    return np.asarray(inside.all(1))
