"""What the codes of lattice sites say: classes of sites, strange sites, angles, and how well."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.mixture import GaussianMixture

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]

METHODS = ("kmeans", "gmm")
_ATOM = 0.0625  # width of an atom in a patch, standard deviation, sides of the patch
_NEIGHBOURS = 0.01  # share of the codes that tell the density at a code
_FEWEST = 10  # of them
_LEAST = 1e-3  # added to the variances of a mixture's Gaussians


class Anomaly(NamedTuple):
    """How strange sites are; [S] each, in nats, the median site at 0.

    Attributes:
        error: From what a site's own px are beside their reconstruction: the squared residual,
            smoothed over an atom and weighted with one in the middle of the patch, as if the median
            site's were noise alone.
        density: Negative logarithm of the density of all codes at the site's, from its distance to
            the nearest hundredth of them: a handful of sites that are alike stay rare.
        score: Their sum.
    """

    error: Array
    density: Array
    score: Array


def classes(codes: Array, count: int, method: str = "kmeans") -> Labels:
    """Classes of sites that look alike, the largest first.

    Args:
        codes: Content codes, [S,D].
        count: How many classes.
        method: ``kmeans``, or ``gmm``: a mixture of Gaussians.

    Returns:
        0 to count - 1, [S].

    Raises:
        ValueError: If the method is not known, or there are fewer sites than classes.
    """
    if method not in METHODS:
        raise ValueError(f"method is {' or '.join(METHODS)}, not {method!r}")
    if len(codes) < count or count < 1:
        raise ValueError(f"{len(codes)} sites cannot be parted into {count} classes")
    if method == "kmeans":
        found = KMeans(count, n_init=10, random_state=0).fit_predict(codes)
    else:
        mixture = GaussianMixture(count, n_init=5, random_state=0, reg_covar=_LEAST)
        found = mixture.fit_predict(codes)
    largest_first = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    return np.argsort(largest_first)[found].astype(np.int64)


def anomaly(patches: Array, made: Array, codes: Array) -> Anomaly:
    """How strange sites are: badly reconstructed, or with rare codes.

    A rare but simple site, such as a foreign atom, may be reconstructed well, and a code may be
    common while the patch is not: each of both finds what the other misses.

    Args:
        patches: [S,w,w].
        made: Their reconstructions, [S,w,w].
        codes: Their content codes, [S,D].
    """
    window = patches.shape[-1]
    width = _ATOM * window
    r = (np.arange(window) - (window - 1) / 2) / width
    weight = np.exp(-0.5 * (r[:, None] ** 2 + r**2))
    residual = ndimage.gaussian_filter(patches - made, (0, width, width))
    squares = (residual**2 * weight).sum((1, 2))
    # So many px of the smoothed residual are independent, half a nat each where there is noise.
    independent = weight.sum() / (4 * np.pi * width**2)
    error = 0.5 * independent * squares / max(float(np.median(squares)), 1e-12)
    near = min(max(_FEWEST, round(_NEIGHBOURS * len(codes))), len(codes) - 1)
    distance = KDTree(codes).query(codes, [near + 1])[0][:, 0]
    density = codes.shape[1] * np.log(distance + 1e-12)
    error, density = error - np.median(error), density - np.median(density)
    return Anomaly(error, density, error + density)


def agreement(labels: Labels, kinds: Labels) -> float:
    """Adjusted Rand index of classes and true kinds, [S] each: 1 the same, 0 chance."""
    return float(adjusted_rand_score(kinds, labels))


def defect_auroc(score: Array, defect: Mask) -> float:
    """Chance that a defect scores higher than a perfect site, [S] each; NaN without either."""
    if defect.all() or not defect.any():
        return float("nan")
    return float(roc_auc_score(defect, score))


def angle_errors(angle: Array, truth: Array, kinds: Labels, symmetry: int) -> Array:
    """Errors of angles modulo 2 pi/n, rad, [S].

    Each kind of site has an upright pose of its own, which training chooses: the circular mean of
    its errors is taken off.

    Args:
        angle: As found, rad, [S].
        truth: By how much the crystal is turned, in the same sense, rad, [S].
        kinds: The true kinds, [S].
        symmetry: n.
    """
    error = np.exp(1j * symmetry * (angle - truth))
    for kind in np.unique(kinds):
        own = kinds == kind
        error[own] *= np.conj(error[own].mean())
    return np.asarray(np.angle(error) / symmetry)


def turned_share(codes: Array) -> float:
    """Variance of codes under turns of their patches over their whole variance; 0 is invariant.

    Args:
        codes: Of the same sites under several turns, [K,S,D].
    """
    whole = codes.reshape(-1, codes.shape[-1]).var(0).sum()
    return float(codes.var(0).mean(0).sum() / whole)
