"""How much of an image's orientation a linear map can read from the codes of held-out images.

The simulator draws three numbers per image, as fractions of the lattice's ranges: the azimuth b and
the tilt t of the cut, and the rotation p of the image in its plane. An angle can only be read
modulo the symmetry of the image, so that its targets are the cosine and the sine of f times the
angle. For cut lattices:

==========  =======================================================================================
azimuth     f is the lattice's ``fold``: turned about z by 360/f degrees, it is itself.
tilt        t itself, in degrees: it is not periodic.
rotation    f = 2: p is the direction of the slope in the image. A tilted cut is no square or
            hexagon any more, so that quarter or sixth turns can be told apart; half turns leave the
            atoms' positions as they are (only the steps then run downhill in the opposite
            direction).
in_plane    b + p, with the f of the azimuth: the direction of the lattice's rows in the image. A
            flat cut shows nothing else: its b and p cannot be told from each other.
==========  =======================================================================================

A flat lattice has its rotation only, with f = ``fold``.
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
from stm_experiments.simulator import LATTICES, AnyLattice, Lattice

FACTORS = ("azimuth", "tilt", "rotation", "in_plane")
LEAST_IMAGES = 10
STRENGTHS = np.logspace(-4, 2, 7)  # of the ridge penalty, per row


class Ranges(NamedTuple):
    """Ranges of a lattice's orientations and their symmetries; NaN where there is no such angle.

    Attributes:
        azimuth: Range of the azimuth, degrees.
        azimuth_fold: The lattice is itself after 1/fold of a turn about z.
        tilt: Range of the tilt, degrees.
        rotation: Range of the rotation, rad.
        rotation_fold: The image shows the same after 1/fold of a turn in its plane.
    """

    azimuth: float = math.nan
    azimuth_fold: float = math.nan
    tilt: float = math.nan
    rotation: float = math.nan
    rotation_fold: float = math.nan


def ranges_of(lattice: AnyLattice | None) -> Ranges:
    """Return the ranges and symmetries of a lattice, of which nothing is known if it is None."""
    if lattice is None:
        return Ranges()
    rotation = math.radians(lattice.rotation_max)
    if not isinstance(lattice, Lattice):
        return Ranges(rotation=rotation, rotation_fold=lattice.fold)
    return Ranges(
        azimuth=lattice.azimuth_max,
        azimuth_fold=lattice.fold,
        tilt=lattice.tilt_max,
        rotation=rotation,
        rotation_fold=2,
    )


def factor_targets(
    codes: Codes, names: Sequence[str], lattices: Mapping[str, AnyLattice] = LATTICES
) -> dict[str, Tensor]:
    """Compute what is to be read from the codes; see the module.

    Args:
        codes: Only labels and orientations are used; the latter are fractions of their ranges.
        names: Names of all lattices, by label.
        lattices: The lattices as they were simulated, by name.

    Returns:
        Factor to [n, 2] (cosine, sine), or [n, 1] for the tilt; NaN where unknown.
    """
    of_label = torch.tensor([ranges_of(lattices.get(name)) for name in names], dtype=torch.float64)
    columns = of_label[codes.lattice].unbind(1)
    of_patch = dict(zip(Ranges._fields, columns, strict=True))
    fractions = codes.orientation.double()
    azimuth = torch.deg2rad(fractions[:, 0] * of_patch["azimuth"])
    rotation = fractions[:, 2] * of_patch["rotation"]
    return {
        "azimuth": _on_circle(of_patch["azimuth_fold"] * azimuth),
        "tilt": (fractions[:, 1] * of_patch["tilt"])[:, None],
        "rotation": _on_circle(of_patch["rotation_fold"] * rotation),
        "in_plane": _on_circle(of_patch["azimuth_fold"] * (azimuth + rotation)),
    }


def _on_circle(angle: Tensor) -> Tensor:
    """Return cosine and sine of angles [n], [n, 2]."""
    return torch.stack([angle.cos(), angle.sin()], 1)


def held_out_r2(codes: Tensor, targets: Mapping[str, Tensor], image: Tensor) -> dict[str, float]:
    """Measure which part of each target's variance a linear map predicts on held-out images.

    Ridge regression on standardised codes is fitted to four fifths of the images and predicts the
    rest, five times. Its strength (10^-4 .. 100 per row) is the best for the target within the
    training images, which are again divided by image. R^2 = 1 - sum of squared errors / sum of
    squares about the mean of the training images, summed over the columns: 1 all, 0 nothing; below
    0: worse than that mean, which happens by chance with few images.

    Args:
        codes: [n, D].
        targets: Name to [n, K]; rows with NaN are left out.
        image: Image of each row, [n]; all rows of an image are on the same side of a split.

    Returns:
        R^2 of each target, except of those that do not vary or are known of fewer than ten images.
    """
    values: dict[str, float] = {}
    finite = {name: target.isfinite().all(1) for name, target in targets.items()}
    for name, rows in finite.items():
        if name in values:
            continue
        # Targets that are finite on the same rows share the decompositions.
        group = {key: targets[key][rows] for key in finite if torch.equal(finite[key], rows)}
        group = {key: target for key, target in group.items() if _varies(target)}
        if group and len(image[rows].unique()) >= LEAST_IMAGES:
            values |= _r2_of_finite(codes[rows], group, image[rows])
    return {name: values[name] for name in targets if name in values}


def _varies(target: Tensor) -> bool:
    return len(target) > 1 and float(target.std(0).max()) > 1e-6


def _r2_of_finite(codes: Tensor, targets: Mapping[str, Tensor], image: Tensor) -> dict[str, float]:
    """Compute ``held_out_r2`` of targets without NaN."""
    points = codes.double().numpy()
    truth = torch.cat([target.double() for target in targets.values()], 1).numpy()
    ends = np.cumsum([target.shape[1] for target in targets.values()])[:-1]

    def squares(errors: Array) -> Array:
        """Sum over rows and over each target's columns, [..., m, K] to [..., targets]."""
        parts = np.split(np.square(errors), ends, axis=-1)
        return np.stack([part.sum((-2, -1)) for part in parts], -1)

    fold = image_folds(image, torch.zeros_like(image))
    error, total = np.zeros(len(targets)), np.zeros(len(targets))
    for held_out in (fold == number for number in range(FOLDS)):
        training = ~held_out
        inner = np.zeros((len(STRENGTHS), len(targets)))
        for within in (fold == number for number in range(FOLDS)):
            test, rest = training & within, training & ~within
            if test.any():
                inner += squares(ridge(points[rest], truth[rest], points[test]) - truth[test])
        best = inner.argmin(0), np.arange(len(targets))
        predictions = ridge(points[training], truth[training], points[held_out])
        error += squares(predictions - truth[held_out])[best]
        total += squares(truth[training].mean(0) - truth[held_out])
    return dict(zip(targets, (1 - error / total).tolist(), strict=True))


def ridge(points: Array, truth: Array, new_points: Array) -> Array:
    """Predict by ridge regression on standardised columns, at all strengths by one decomposition.

    scikit-learn's grid search over a split by image takes ten times as long.

    Args:
        points: [n, D].
        truth: [n, K].
        new_points: [m, D].

    Returns:
        Predictions, [strengths, m, K].
    """
    scaler = StandardScaler().fit(points)
    left, scales, right = np.linalg.svd(scaler.transform(points), full_matrices=False)
    penalties = len(points) * STRENGTHS[:, None]
    weights = scales / (scales**2 + penalties)
    inside = scaler.transform(new_points) @ right.T
    mean = truth.mean(0)
    predictions: Array = (inside * weights[:, None]) @ (left.T @ (truth - mean)) + mean
    return predictions


def factor_measures(
    codes: Codes, names: Sequence[str], lattices: Mapping[str, AnyLattice] = LATTICES
) -> dict[str, float]:
    """Measure R^2 of the known factors of orientation, over all images and within each lattice.

    Args:
        codes: Patches or pools.
        names: Names of all lattices, by label.
        lattices: The lattices as they were simulated, by name.

    Returns:
        ``r2_tilt`` and so on by one regression for all; with several lattices also
        ``r2_tilt/sc``, by a regression of its own for each. What is not known has no key.
    """
    targets = factor_targets(codes, names, lattices)
    present = codes.lattice.unique().tolist()
    subsets: dict[str, Tensor] = {"": torch.ones_like(codes.lattice, dtype=torch.bool)}
    if len(present) > 1:
        subsets |= {f"/{names[label]}": codes.lattice == label for label in present}
    measures: dict[str, float] = {}
    for suffix, rows in subsets.items():
        of_subset = {factor: targets[factor][rows] for factor in FACTORS}
        values = held_out_r2(codes.codes[rows], of_subset, codes.image[rows])
        measures |= {f"r2_{factor}{suffix}": value for factor, value in values.items()}
    return measures
