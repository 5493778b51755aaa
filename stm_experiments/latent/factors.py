"""How much of an image's orientation can be read from the codes, on images that were not looked at.

The simulator draws three numbers per image, as fractions of their ranges: the azimuth b and the
tilt t of the cut, and the turn p of the picture by up to 180 degrees. An angle can only be read
modulo the symmetry of what is seen, so that its targets are cosine and sine of f times the angle:

==========  =======================================================================================
azimuth     f = 4 for the cubic lattices, 6 for hex1, 2 for hex2 (centred rectangular): turned about
            z by 360/f degrees the lattice is itself.
tilt        t itself, in degrees: it is not periodic.
rotation    f = 2 for all lattices: p is the direction of the slope in the image. A tilted cut is no
            square or hexagon any more, so that quarter or sixth turns can be told apart; half turns
            leave the atoms' places as they are (only the steps then run downhill the other way).
in_plane    b + p, with the f of the azimuth: the direction of the lattice's rows in the image. A
            flat cut shows nothing else: its b and p cannot be told from each other.
==========  =======================================================================================
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from stm_experiments.core.arrays import Array
from stm_experiments.latent.codes import Codes
from stm_experiments.latent.probes import FOLDS, image_folds

FACTORS = ("azimuth", "tilt", "rotation", "in_plane")
LEAST_IMAGES = 10
STRENGTHS = np.logspace(-4, 2, 7)  # of the ridge penalty, per row


class Symmetry(NamedTuple):
    """Ranges of a lattice's orientations and its symmetry about z.

    Attributes:
        azimuth: Range of the azimuth, degrees.
        tilt: Range of the tilt, degrees.
        fold: The lattice is itself after 1/fold of a turn about z.
    """

    azimuth: float
    tilt: float
    fold: int


SYMMETRIES: dict[str, Symmetry] = {
    "sc": Symmetry(45, 45, 4),
    "bcc": Symmetry(45, 45, 4),
    "fcc": Symmetry(45, 45, 4),
    "hex1": Symmetry(60, 30, 6),
    "hex2": Symmetry(60, 30, 2),
}


def factor_targets(
    codes: Codes, lattices: Sequence[str], symmetries: Mapping[str, Symmetry] = SYMMETRIES
) -> dict[str, Tensor]:
    """What is to be read from the codes; see the module.

    Args:
        codes: Only labels and orientations are used; the latter are fractions of their ranges.
        lattices: Names of all lattices, by label.
        symmetries: By name; of lattices that are not named only the rotation is known.

    Returns:
        Factor to ``[n,2]`` (cosine, sine), or ``[n,1]`` for the tilt; NaN where unknown.
    """
    unknown = (math.nan, math.nan, math.nan)
    of_label = torch.tensor(
        [symmetries.get(name, unknown) for name in lattices], dtype=torch.float64
    )
    azimuth_range, tilt_range, fold = of_label[codes.lattice].unbind(1)
    fractions = codes.orientation.double()
    azimuth = torch.deg2rad(fractions[:, 0] * azimuth_range)
    rotation = fractions[:, 2] * math.pi

    def circle(angle: Tensor) -> Tensor:
        return torch.stack([angle.cos(), angle.sin()], 1)

    return {
        "azimuth": circle(fold * azimuth),
        "tilt": (fractions[:, 1] * tilt_range)[:, None],
        "rotation": circle(2 * rotation),
        "in_plane": circle(fold * (azimuth + rotation)),
    }


def held_out_r2(codes: Tensor, targets: Mapping[str, Tensor], image: Tensor) -> dict[str, float]:
    """Part of each target's variance that a linear map of the codes predicts on held-out images.

    Ridge regression on standardised codes, fitted on four fifths of the images, asked about the
    rest, five times. Its strength (10^-4 .. 100 per row) is the best for the target within the
    training images, these again divided by image. R^2 = 1 - sum of squared errors / sum of squares
    about the mean of the training images, columns added up: 1 all, 0 nothing; below 0: worse than
    that mean, which happens by chance with few images.

    Args:
        codes: ``[n,D]``.
        targets: Name to ``[n,K]``; rows with NaN are left out.
        image: ``[n]`` image of each row; all rows of an image are on the same side of a split.

    Returns:
        R^2 of each target, but of those that do not vary or are known of fewer than ten images.
    """
    values: dict[str, float] = {}
    known = {name: target.isfinite().all(1) for name, target in targets.items()}
    for name, finite in known.items():
        if name in values:
            continue
        # Those that are known of the same rows share the decompositions.
        alike = {key: targets[key][finite] for key in known if torch.equal(known[key], finite)}
        alike = {key: target for key, target in alike.items() if _varies(target)}
        if alike and len(image[finite].unique()) >= LEAST_IMAGES:
            values |= _r2_of_known(codes[finite], alike, image[finite])
    return {name: values[name] for name in targets if name in values}


def _varies(target: Tensor) -> bool:
    return len(target) > 1 and float(target.std(0).max()) > 1e-6


def _r2_of_known(codes: Tensor, targets: Mapping[str, Tensor], image: Tensor) -> dict[str, float]:
    points = codes.double().numpy()
    truth = torch.cat([target.double() for target in targets.values()], 1).numpy()
    ends = np.cumsum([target.shape[1] for target in targets.values()])[:-1]

    def squares(errors: Array) -> Array:
        """Sum over rows and over each target's columns, ``[...,m,K]`` to ``[...,targets]``."""
        parts = np.split(np.square(errors), ends, axis=-1)
        return np.stack([part.sum((-2, -1)) for part in parts], -1)

    fold = image_folds(image, torch.zeros_like(image))
    error, total = np.zeros(len(targets)), np.zeros(len(targets))
    for held_out in (fold == number for number in range(FOLDS)):
        known = ~held_out
        inner = np.zeros((len(STRENGTHS), len(targets)))
        for within in (fold == number for number in range(FOLDS)):
            asked, rest = known & within, known & ~within
            if asked.any():
                inner += squares(ridge(points[rest], truth[rest], points[asked]) - truth[asked])
        best = inner.argmin(0), np.arange(len(targets))
        guessed = ridge(points[known], truth[known], points[held_out])
        error += squares(guessed - truth[held_out])[best]
        total += squares(truth[known].mean(0) - truth[held_out])
    return dict(zip(targets, (1 - error / total).tolist(), strict=True))


def ridge(points: Array, truth: Array, asked: Array) -> Array:
    """Ridge regression on standardised columns at all strengths at once, by one decomposition.

    scikit-learn's grid search over a split by image takes ten times as long.

    Args:
        points: ``[n,D]``.
        truth: ``[n,K]``.
        asked: ``[m,D]``.

    Returns:
        Predictions, ``[strengths,m,K]``.
    """
    scaler = StandardScaler().fit(points)
    left, scales, right = np.linalg.svd(scaler.transform(points), full_matrices=False)
    penalties = len(points) * STRENGTHS[:, None]
    weights = scales / (scales**2 + penalties)
    inside = scaler.transform(asked) @ right.T
    mean = truth.mean(0)
    predictions: Array = (inside * weights[:, None]) @ (left.T @ (truth - mean)) + mean
    return predictions


def factor_measures(
    codes: Codes, lattices: Sequence[str], symmetries: Mapping[str, Symmetry] = SYMMETRIES
) -> dict[str, float]:
    """R^2 of the known factors of orientation, over all images and within each lattice.

    Args:
        codes: Patches or pools.
        lattices: Names of all lattices, by label.
        symmetries: By name.

    Returns:
        ``r2_tilt`` and so on by one regression for all; with several lattices also
        ``r2_tilt/sc``, by a regression of its own for each. What is not known has no key.
    """
    targets = factor_targets(codes, lattices, symmetries)
    present = codes.lattice.unique().tolist()
    subsets: dict[str, Tensor] = {"": torch.ones_like(codes.lattice, dtype=torch.bool)}
    if len(present) > 1:
        subsets |= {f"/{lattices[label]}": codes.lattice == label for label in present}
    measures: dict[str, float] = {}
    for suffix, rows in subsets.items():
        here = {factor: targets[factor][rows] for factor in FACTORS}
        values = held_out_r2(codes.codes[rows], here, codes.image[rows])
        measures |= {f"r2_{factor}{suffix}": value for factor, value in values.items()}
    return measures
