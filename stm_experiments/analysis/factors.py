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
import numpy.typing as npt
import torch
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from stm_experiments.analysis.latent import Codes
from stm_experiments.analysis.probes import image_folds

FACTORS = ("azimuth", "tilt", "rotation", "in_plane")
LEAST_IMAGES = 10


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
        symmetries: By name; lattices that are not named have unknown factors.

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


def held_out_r2(codes: Tensor, target: Tensor, image: Tensor) -> float | None:
    """Part of the variance of a target that a linear map of the codes predicts on held-out images.

    Ridge regression on standardised codes (strength chosen among 10^-2 .. 10^4 within the training
    images), fitted on four fifths of the images, asked about the rest, five times. R^2 = 1 - sum of
    squared errors / sum of squares about the mean, columns added up: 1 all, 0 nothing; below 0:
    worse than saying the mean, which happens with few images.

    Args:
        codes: ``[n,D]``.
        target: ``[n,K]``; rows with NaN are left out.
        image: ``[n]`` image of each row; all rows of an image are on the same side of a split.

    Returns:
        R^2, or None if fewer than ten images are left or the target does not vary.
    """
    known = target.isfinite().all(1)
    codes, target, image = codes[known], target[known].double(), image[known]
    if len(image.unique()) < LEAST_IMAGES:
        return None
    total = float((target - target.mean(0)).square().sum())
    if total < 1e-9 * len(target):
        return None
    fold = image_folds(image, torch.zeros_like(image))
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 7)))
    truth: npt.NDArray[np.float64] = target.numpy()
    guessed = cross_val_predict(model, codes.double().numpy(), truth, cv=PredefinedSplit(fold))
    return 1 - float(np.square(guessed.reshape(truth.shape) - truth).sum()) / total


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
    measures = {}
    for suffix, rows in subsets.items():
        for factor in FACTORS:
            r2 = held_out_r2(codes.codes[rows], targets[factor][rows], codes.image[rows])
            if r2 is not None:
                measures[f"r2_{factor}{suffix}"] = r2
    return measures
