"""Can the lattice type be read from the codes? Always asked of images that were not looked at.

Patches of one image resemble each other, so a split by patch would reward a code that recognises
images and knows nothing of lattices. Here all rows of an image are on the same side of every split.
A row is a patch, or a pool of patches (``latent.pool``). Everything is deterministic.
"""

import warnings

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, balanced_accuracy_score, pairwise_distances
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from stm_experiments.latent.codes import Codes, thin

FOLDS = 5
DRAWS = 20
WIDE = 500
MOST_DISTANCES = 3000  # rows of the silhouette, whose cost is quadratic

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def image_folds(image: Tensor, label: Tensor, folds: int = FOLDS) -> Labels:
    """Deal whole images into folds, those of each label evenly.

    Args:
        image: ``[n]`` image of each row.
        label: ``[n]``, the same for all rows of an image.
        folds: How many; no more than the rarest label has images.

    Returns:
        Fold of each row, ``[n]`` from 0.

    Raises:
        ValueError: If a label has fewer than two images.
    """
    _, first, inverse = np.unique(image.numpy(), return_index=True, return_inverse=True)
    labels = label.numpy()[first]
    rarest = int(np.unique(labels, return_counts=True)[1].min())
    if rarest < 2:
        raise ValueError("A split by image needs at least two images of each lattice.")
    fold = np.zeros(len(labels), dtype=np.int64)
    split = StratifiedKFold(min(folds, rarest), shuffle=True, random_state=0)
    for number, (_, held_out) in enumerate(split.split(labels, labels)):
        fold[held_out] = number
    return fold[inverse]


def can_tell_lattices(codes: Codes) -> bool:
    """Whether there are at least two lattices with at least two images each."""
    lattices = codes.lattice.unique()
    images = [len(codes.image[codes.lattice == one].unique()) for one in lattices]
    return len(images) > 1 and min(images) > 1


def lattice_measures(codes: Codes, neighbours: int) -> dict[str, float]:
    """How well the lattice type is read from the codes, on held-out images.

    Args:
        codes: Patches or pools, of at least two lattices with at least two images each.
        neighbours: Of ``knn``.

    Returns:
        ``probe``, ``knn``, ``ari`` and ``silhouette``, as their functions define them.
    """
    return {
        "probe": probe_accuracy(codes),
        "knn": knn_accuracy(codes, neighbours),
        "ari": kmeans_ari(codes),
        "silhouette": silhouette(codes),
    }


def probe_accuracy(codes: Codes) -> float:
    """Balanced accuracy of the lattice type by a linear probe.

    Logistic regression (C = 1, lattices weighted equally) on standardised codes, fitted on four
    fifths of the images, asked about the rest, five times. Balanced: the mean over lattices of the
    part of their rows that is recognised; chance is 1 over the number of lattices.
    """
    model = LogisticRegression(max_iter=1000, class_weight="balanced")
    return _held_out_accuracy(model, codes)


def knn_accuracy(codes: Codes, neighbours: int) -> float:
    """Balanced accuracy of a vote of the nearest codes of other images; else ``probe_accuracy``."""
    rarest = int(codes.lattice.unique(return_counts=True)[1].min())
    return _held_out_accuracy(KNeighborsClassifier(min(neighbours, rarest)), codes)


def _held_out_accuracy(model: BaseEstimator, codes: Codes) -> float:
    fold = image_folds(codes.image, codes.lattice)
    lattice = codes.lattice.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        guessed = cross_val_predict(
            make_pipeline(StandardScaler(), model),
            codes.codes.double().numpy(),
            lattice,
            cv=PredefinedSplit(fold),
        )
    return float(balanced_accuracy_score(lattice, guessed))


def kmeans_ari(codes: Codes) -> float:
    """Adjusted Rand index between lattices and k-means clusters: 1 equal, 0 chance.

    As many clusters as lattices are found in the standardised codes of one half of the images; the
    other half is assigned to them and counted; then the other way round. Two rows of one image
    share their lattice and often their cluster, which says nothing of lattices, so that the index
    is the mean over 20 draws of one row per image.
    """
    points, lattice, image = codes.codes.double().numpy(), codes.lattice.numpy(), codes.image
    half = image_folds(image, codes.lattice, 2)
    random = np.random.default_rng(0)
    indices = []
    for held_out in (half == 0, half == 1):
        model = make_pipeline(
            StandardScaler(), KMeans(len(np.unique(lattice)), n_init=5, random_state=0)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct codes than k
            cluster = model.fit(points[~held_out]).predict(points[held_out])
        for _ in range(DRAWS):
            order = random.permutation(len(cluster))
            _, first = np.unique(image.numpy()[held_out][order], return_index=True)
            drawn = order[first]
            indices.append(adjusted_rand_score(lattice[held_out][drawn], cluster[drawn]))
    return float(np.mean(indices))


def silhouette(codes: Codes) -> float:
    """Mean silhouette of the lattices, rows of the same image left out: 1 apart, <= 0 mixed.

    For each row, (b - a) / max(a, b) of distances between standardised codes: a is the mean
    distance to the rows of its own lattice in *other images*, b that to the nearest other lattice.
    Zero where the lattice has no other image. Where lattices mean nothing it is a little below 0:
    the nearest of several others is nearer than one's own. With one row per image this is
    scikit-learn's ``silhouette_score``. At most about 3000 rows are used, the same number of
    each image.
    """
    images = len(codes.image.unique())
    codes = thin(codes, max(1, MOST_DISTANCES // images))
    points = StandardScaler().fit_transform(codes.codes.double().numpy())
    lattice, image = codes.lattice.numpy(), codes.image.numpy()
    lattices, own = np.unique(lattice, return_inverse=True)
    distances = pairwise_distances(points)
    distances[image[:, None] == image] = 0
    rows = np.arange(len(points))
    members = (lattice[:, None] == lattices).astype(np.float64)
    counts = np.tile(members.sum(0), (len(points), 1))
    _, inverse, in_image = np.unique(image, return_inverse=True, return_counts=True)
    counts[rows, own] -= in_image[inverse]
    mean: Array = distances @ members / np.maximum(counts, 1)
    a, others = mean[rows, own], counts[rows, own] > 0
    mean[rows, own] = np.inf
    b = mean.min(1)
    largest = np.maximum(a, b)
    values = np.divide(b - a, largest, out=np.zeros_like(a), where=others & (largest > 0))
    return float(values.mean())


def held_out_axes(codes: Codes) -> tuple[Array, Codes]:
    """Codes of one half of the images on the axes that part the lattices best in the other half.

    Linear discriminant analysis of standardised codes, the covariance shrunk by a tenth towards a
    multiple of the identity, which keeps it invertible with fewer images than numbers; if these
    have more than 500 numbers, of their first 50 principal components. Where two lattices leave one
    axis only, the second is the first principal axis.

    Args:
        codes: Patches or pools, of at least two lattices with at least two images each.

    Returns:
        ``[m,2]``, and the rows that they are; zeros if all codes of the first half are equal.
    """
    half = image_folds(codes.image, codes.lattice, 2)
    shown = codes.rows(torch.from_numpy(half == 1))
    points, asked = codes.codes.double().numpy()[half == 0], shown.codes.double().numpy()
    if (points == points[0]).all():
        return np.zeros((len(asked), 2)), shown
    scaler = StandardScaler().fit(points)
    points, asked = scaler.transform(points), scaler.transform(asked)
    principal = PCA(min(50, *points.shape), random_state=0).fit(points)
    second = principal.transform(asked)[:, :1]
    if points.shape[1] > WIDE:  # the cost is cubic
        points, asked = principal.transform(points), principal.transform(asked)
    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)
    axes = model.fit(points, codes.lattice.numpy()[half == 0]).transform(asked)
    return np.column_stack([axes, second])[:, :2], shown
