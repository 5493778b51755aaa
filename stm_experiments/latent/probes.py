"""How well the lattice type can be read from codes, measured on held-out images.

Patches of one image resemble each other: a split by patch would reward a code that recognises
images and knows nothing of lattices. Here all rows of an image are on the same side of every split.
A row is a patch, or a pool of patches (``codes.pool``). Everything is deterministic.
"""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    adjusted_rand_score,
    balanced_accuracy_score,
    confusion_matrix,
    pairwise_distances,
)
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from stm_experiments.core.arrays import Array, Labels
from stm_experiments.latent.codes import Codes, thin_out

FOLDS = 5  # of the cross-validation
DRAWS = 20  # of one row per image, for the Rand index
MOST_AXES = 500  # numbers per row up to which the discriminant analysis, of cubic cost, takes all
MOST_ROWS = 3000  # of the silhouette, whose cost is quadratic


class HeldOutProjection(NamedTuple):
    """Codes on two axes.

    Attributes:
        points: Coordinates, [m, 2].
        codes: The codes, m rows.
    """

    points: Array
    codes: Codes


def image_folds(image: Tensor, label: Tensor, folds: int = FOLDS) -> Labels:
    """Deal whole images into folds, those of each label evenly.

    Args:
        image: Image of each row, [n].
        label: Label of each row, the same for all rows of an image, [n].
        folds: Number of folds; at most as many as the rarest label has images.

    Returns:
        Fold of each row from 0, [n].

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
    """Return whether there are at least two lattices with at least two images each."""
    lattices = codes.lattice.unique()
    images = [len(codes.image[codes.lattice == one].unique()) for one in lattices]
    return len(images) > 1 and min(images) > 1


def measure_lattice(codes: Codes, neighbours: int) -> dict[str, float]:
    """Measure how well the lattice type is read from the codes, on held-out images.

    Args:
        codes: Patches or pools, of at least two lattices with at least two images each.
        neighbours: Number of neighbours of ``knn``.

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
    """Return the balanced accuracy of the lattice type by a linear probe.

    Logistic regression (C = 1, lattices weighted equally) on standardised codes, fitted on four
    fifths of the images and tested on the rest, five times. Balanced: the mean over lattices of the
    share of their rows that is recognised; chance is 1 over the number of lattices.
    """
    return _held_out_accuracy(_probe(), codes)


def lattice_confusion(codes: Codes) -> Array:
    """Return what the probe of ``probe_accuracy`` takes the rows of each lattice for.

    Returns:
        [L, L]: share of the rows of lattice i that is taken for lattice j, in ascending order of
        the labels; the mean of the diagonal is ``probe_accuracy``.
    """
    predictions = _held_out_predictions(_probe(), codes)
    shares: Array = confusion_matrix(codes.lattice.numpy(), predictions, normalize="true")
    return shares


def _probe() -> LogisticRegression:
    return LogisticRegression(max_iter=1000, class_weight="balanced")


def few_images_accuracy(codes: Codes, images: int = 3, draws: int = 20) -> float:
    """Return the balanced accuracy of a linear probe that knows a few images of each lattice.

    The probe of ``probe_accuracy`` is fitted to all rows of so many images of each lattice, drawn
    at random, and tested on all other images; the mean over the draws. NaN if a lattice has no
    other image.

    Args:
        codes: Patches or pools.
        images: Images of each lattice whose label is known.
        draws: Draws of these images.
    """
    points, lattice, image = codes.codes.double().numpy(), codes.lattice.numpy(), codes.image
    _, first, number = np.unique(image.numpy(), return_index=True, return_inverse=True)
    label = lattice[first]
    if np.unique(label, return_counts=True)[1].min() <= images:
        return float("nan")
    random = np.random.default_rng(0)
    accuracies = []
    for _ in range(draws):
        known = [
            random.choice(np.flatnonzero(label == one), images, replace=False)
            for one in np.unique(label)
        ]
        is_known = np.isin(number, np.concatenate(known))
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(points[is_known], lattice[is_known])
        predicted = model.predict(points[~is_known])
        accuracies.append(balanced_accuracy_score(lattice[~is_known], predicted))
    return float(np.mean(accuracies))


def knn_accuracy(codes: Codes, neighbours: int) -> float:
    """Return the balanced accuracy of a vote of the nearest codes of other images.

    Folds and the balance are as for ``probe_accuracy``.
    """
    rarest = int(codes.lattice.unique(return_counts=True)[1].min())
    return _held_out_accuracy(KNeighborsClassifier(min(neighbours, rarest)), codes)


def _held_out_accuracy(model: BaseEstimator, codes: Codes) -> float:
    predictions = _held_out_predictions(model, codes)
    return float(balanced_accuracy_score(codes.lattice.numpy(), predictions))


def _held_out_predictions(model: BaseEstimator, codes: Codes) -> Labels:
    """Return the lattice that a model, fitted to other images, assigns to each row, [n]."""
    fold = image_folds(codes.image, codes.lattice)
    lattice = codes.lattice.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        predictions: Labels = cross_val_predict(
            make_pipeline(StandardScaler(), model),
            codes.codes.double().numpy(),
            lattice,
            cv=PredefinedSplit(fold),
        )
    return predictions


def kmeans_ari(codes: Codes) -> float:
    """Return the adjusted Rand index between lattices and k-means clusters: 1 equal, 0 chance.

    As many clusters as lattices are fitted to the standardised codes of one half of the images; the
    codes of the other half are assigned to them and counted; then the halves change places. Two
    rows of one image share their lattice and often their cluster, which says nothing about
    lattices: the index is the mean over 20 draws of one row per image.
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
    """Return the mean silhouette of the lattices without rows of the same image.

    1: lattices are separate; 0 or less: they are mixed. For each row it is (b - a) / max(a, b) of
    distances between standardised codes: a is the mean distance to the rows of its lattice in
    *other images*, b the mean distance to the nearest other lattice. It is 0 where the lattice has
    no other image. Where lattices mean nothing it is a little below 0, because the nearest of
    several other lattices is nearer than the row's own. With one row per image this is
    scikit-learn's ``silhouette_score``. At most about 3000 rows are used, equally many of each
    image.
    """
    images = len(codes.image.unique())
    codes = thin_out(codes, max(1, MOST_ROWS // images))
    points = StandardScaler().fit_transform(codes.codes.double().numpy())
    lattice, image = codes.lattice.numpy(), codes.image.numpy()
    lattices, lattice_index = np.unique(lattice, return_inverse=True)
    distances = pairwise_distances(points)
    distances[image[:, None] == image] = 0
    rows = np.arange(len(points))
    members = (lattice[:, None] == lattices).astype(np.float64)
    counts = np.tile(members.sum(0), (len(points), 1))
    _, inverse, in_image = np.unique(image, return_inverse=True, return_counts=True)
    counts[rows, lattice_index] -= in_image[inverse]
    mean: Array = distances @ members / np.maximum(counts, 1)
    a, has_others = mean[rows, lattice_index], counts[rows, lattice_index] > 0
    mean[rows, lattice_index] = np.inf
    b = mean.min(1)
    largest = np.maximum(a, b)
    values = np.divide(b - a, largest, out=np.zeros_like(a), where=has_others & (largest > 0))
    return float(values.mean())


def project_held_out(codes: Codes) -> HeldOutProjection:
    """Project one half of the images on the axes that separate the lattices of the other half best.

    Linear discriminant analysis of standardised codes. The covariance is shrunk by a tenth towards
    a multiple of the identity, which keeps it invertible with fewer images than numbers per row.
    Codes of more than 500 numbers are first reduced to 50 principal components. Two lattices give
    one axis only; then the second one is the first principal axis.

    Args:
        codes: Patches or pools, of at least two lattices with at least two images each.

    Returns:
        The projected half; its points are 0 if all codes of the other half are equal.
    """
    half = image_folds(codes.image, codes.lattice, 2)
    held_out = codes.select(torch.from_numpy(half == 1))
    training, test = codes.codes.double().numpy()[half == 0], held_out.codes.double().numpy()
    if (training == training[0]).all():
        return HeldOutProjection(np.zeros((len(test), 2)), held_out)
    scaler = StandardScaler().fit(training)
    training, test = scaler.transform(training), scaler.transform(test)
    principal = PCA(min(50, *training.shape), random_state=0).fit(training)
    first_component = principal.transform(test)[:, :1]
    if training.shape[1] > MOST_AXES:
        training, test = principal.transform(training), principal.transform(test)
    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)
    axes = model.fit(training, codes.lattice.numpy()[half == 0]).transform(test)
    return HeldOutProjection(np.column_stack([axes, first_component])[:, :2], held_out)
