"""Classes and anomalies of lattice sites from their codes, and measures of how right they are."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.mixture import GaussianMixture

from stm_experiments.core.arrays import Array, Labels, Mask

METHODS = ("kmeans", "gmm")
_ATOM = 0.0625  # width of an atom in a patch, standard deviation, sides of the patch
_NEIGHBOURS = 0.01  # share of the codes that measure the density at a code
_FEWEST = 10  # number of these codes, at least
_LEAST = 1e-3  # added to the variances of a mixture's Gaussians


class AnomalyScores(NamedTuple):
    """How unlikely sites are; [S] each, in nats, the median site at 0.

    Attributes:
        error: Of the difference between a site's patch and its reconstruction: the squared
            residual, smoothed over an atom and weighted with one in the middle of the patch, in
            units of the median site's, which counts as noise.
        density: Negative logarithm of the density of all codes at the site's, from its distance to
            the nearest hundredth of them: a handful of sites that are alike stay rare.
        score: Their sum.
    """

    error: Array
    density: Array
    score: Array


def classify_sites(codes: Array, count: int, method: str = "kmeans") -> Labels:
    """Divide sites into classes that look alike, the largest class first.

    Args:
        codes: Content codes, [S, D].
        count: Number of classes.
        method: ``kmeans``, or ``gmm``: a mixture of Gaussians.

    Returns:
        0 to count - 1, [S].

    Raises:
        ValueError: If the method is unknown, or there are fewer sites than classes.
    """
    if method not in METHODS:
        raise ValueError(f"method is {' or '.join(METHODS)}, not {method!r}")
    if len(codes) < count or count < 1:
        raise ValueError(f"{len(codes)} sites cannot be divided into {count} classes")
    if method == "kmeans":
        labels = KMeans(count, n_init=10, random_state=0).fit_predict(codes)
    else:
        mixture = GaussianMixture(count, n_init=5, random_state=0, reg_covar=_LEAST)
        labels = mixture.fit_predict(codes)
    largest_first = np.argsort(-np.bincount(labels, minlength=count), kind="stable")
    return np.asarray(np.argsort(largest_first)[labels], np.int64)


def score_anomalies(patches: Array, reconstructions: Array, codes: Array) -> AnomalyScores:
    """Score how anomalous sites are: badly reconstructed, or with rare codes.

    A rare but simple site, such as a foreign atom, may be reconstructed well, and a code may be
    common while the patch is not: each of the two finds what the other misses.

    Args:
        patches: [S, w, w].
        reconstructions: [S, w, w].
        codes: Content codes, [S, D].
    """
    window = patches.shape[-1]
    width = _ATOM * window
    r = (np.arange(window) - (window - 1) / 2) / width
    weight = np.exp(-0.5 * (r[:, None] ** 2 + r**2))
    residual = ndimage.gaussian_filter(patches - reconstructions, (0, width, width))
    squares = (residual**2 * weight).sum((1, 2))
    # Number of independent pixels of the smoothed residual; each counts half a nat of noise.
    independent = weight.sum() / (4 * np.pi * width**2)
    error = 0.5 * independent * squares / max(float(np.median(squares)), 1e-12)
    rank = min(max(_FEWEST, round(_NEIGHBOURS * len(codes))), len(codes) - 1)
    distance = KDTree(codes).query(codes, [rank + 1])[0][:, 0]
    density = codes.shape[1] * np.log(distance + 1e-12)
    error, density = error - np.median(error), density - np.median(density)
    return AnomalyScores(error, density, error + density)


def class_agreement(labels: Labels, kinds: Labels) -> float:
    """Return the adjusted Rand index of classes and true kinds, [S] each: 1 equal, 0 chance."""
    return float(adjusted_rand_score(kinds, labels))


def defect_auroc(score: Array, defect: Mask) -> float:
    """Return the chance that a defect scores higher than a perfect site; NaN without either.

    Args:
        score: Anomaly scores, [S].
        defect: Whether a site is a defect, [S].
    """
    if defect.all() or not defect.any():
        return float("nan")
    return float(roc_auc_score(defect, score))


def angle_errors(angle: Array, truth: Array, kinds: Labels, symmetry: int) -> Array:
    """Return errors of angles modulo 2 pi/n, rad, [S].

    Each kind of site has an upright pose of its own, which training chooses: the circular mean of
    its errors is subtracted.

    Args:
        angle: Inferred angles, rad, [S].
        truth: Angles by which the crystal is turned, in the same sense, rad, [S].
        kinds: The true kinds, [S].
        symmetry: n.
    """
    error = np.exp(1j * symmetry * (angle - truth))
    for kind in np.unique(kinds):
        same = kinds == kind
        error[same] *= np.conj(error[same].mean())
    return np.asarray(np.angle(error) / symmetry)


def rotation_variance(codes: Array) -> float:
    """Return the variance of codes under turns of their patches over their total variance.

    Args:
        codes: Of the same sites under several turns, [K, S, D].

    Returns:
        0 if the codes are invariant.
    """
    total = codes.reshape(-1, codes.shape[-1]).var(0).sum()
    return float(codes.var(0).mean(0).sum() / total)
