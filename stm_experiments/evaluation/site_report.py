"""The sites of images through a trained network: classes, strange sites, a list and pictures."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from stm_experiments.data.sites.sites import SiteImage, cut_squares, disc
from stm_experiments.figures import latent_pca
from stm_experiments.figures.site_map import site_map, worst_sites
from stm_experiments.lattice.site_classes import (
    Anomaly,
    agreement,
    angle_errors,
    anomaly,
    classes,
    defect_auroc,
    turned_share,
)
from stm_experiments.models.interfaces import Variational
from stm_experiments.simulator import DefectCode

TURNS = 12  # of each patch, for the invariance
WORST = 16  # sites shown in pictures
DEFECTS = {
    "vacancy": (DefectCode.VACANCY,),
    "adatom": (DefectCode.ADATOM,),
    "substitution": (DefectCode.BRIGHTER, DefectCode.DARKER),
    "part of a vacancy": (DefectCode.PARTIAL_VACANCY,),
}
DEFECT_NAMES = {code: name for name, codes in DEFECTS.items() for code in codes} | {
    DefectCode.NONE: "perfect"
}


class SiteList(NamedTuple):
    """What a network says of sites. S sites of all images.

    Attributes:
        image: Number of each site's image, [S].
        patches: [S,1,w,w].
        made: Their reconstructions, [S,1,w,w].
        codes: [S,D].
        angle: rad, [S]; 0 of a network that knows none.
        labels: Class of each, from 0 on, the largest first, [S].
        anomaly: How strange each is.
    """

    image: NDArray[np.int64]
    patches: NDArray[np.float64]
    made: NDArray[np.float64]
    codes: NDArray[np.float64]
    angle: NDArray[np.float64]
    labels: NDArray[np.int64]
    anomaly: Anomaly


def look_at_sites(
    net: Variational, images: Sequence[SiteImage], count: int | None = None, method: str = "kmeans"
) -> SiteList:
    """Classes and strangeness of the sites of images, all taken together.

    Args:
        net: A variational autoencoder, such as ``VAE``, in evaluation mode.
        images: With sites for its window.
        count: How many classes; None: as many as there are kinds of sites in the lattice.
        method: ``kmeans`` or ``gmm``.
    """
    patches = torch.cat([site_patches(image, net.window) for image in images])
    with torch.inference_mode():
        seen = net.infer(patches)
        made = net.generate(seen.mean, seen.turn, seen.shift) * disc(net.window)
    number = [len(image.kind) for image in images]
    codes = seen.mean.double().numpy()
    if count is None:
        count = max(int(image.kind.max()) + 1 for image in images)
    arrays = patches.double().numpy(), made.double().numpy()
    return SiteList(
        image=np.repeat(np.arange(len(images)), number),
        patches=arrays[0],
        made=arrays[1],
        codes=codes,
        angle=torch.atan2(seen.turn[:, 1], seen.turn[:, 0]).double().numpy(),
        labels=classes(codes, count, method),
        anomaly=anomaly(arrays[0][:, 0], arrays[1][:, 0], codes),
    )


def site_patches(image: SiteImage, window: int, angle: float = 0.0) -> Tensor:
    """The patches around all sites of an image, turned by an angle (rad), [S,1,w,w]."""
    turned = torch.full((len(image.kind),), angle)
    return cut_squares(image.image, image.place, window, turned) * disc(window)


def site_numbers(found: SiteList, images: Sequence[SiteImage], symmetry: int) -> dict[str, float]:
    """How right the classes, scores and angles are, where the truth is known; else nothing.

    ``ari`` over the sites without a defect; ``auroc`` of defects among all sites, and of each kind
    that there is;
    ``angle_error``: root mean square modulo 2 pi/n, degrees, of the sites without a defect.
    """
    if not all(image.truth for image in images):
        return {}
    kind, defect = (
        np.concatenate([image.truth[name] for image in images]) for name in ("kind", "defect")
    )
    perfect = defect == DefectCode.NONE
    numbers = {
        "sites/ari": agreement(found.labels[perfect], kind[perfect]),
        "sites/auroc": defect_auroc(found.anomaly.score, ~perfect),
    }
    for name, codes in DEFECTS.items():
        among = perfect | np.isin(defect, codes)
        auroc = defect_auroc(found.anomaly.score[among], ~perfect[among])
        numbers[f"sites/auroc_{name.replace(' ', '_')}"] = auroc
    if np.ptp(found.angle) > 0:
        turn = np.concatenate([image.truth["turn"] for image in images])[perfect]
        errors = angle_errors(found.angle[perfect], turn, kind[perfect], symmetry)
        numbers["sites/angle_error"] = math.degrees(float(np.sqrt(np.mean(errors**2))))
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def write_sites(found: SiteList, images: Sequence[SiteImage], path: Path) -> None:
    """Writes a row for each site: where, what kind, which class, how strange, code and angle."""
    codes = [f"code_{index}" for index in range(found.codes.shape[1])]
    head = ["image", "row_px", "column_px", "row_nm", "column_nm", "kind", "occupied", "class"]
    kinds = np.concatenate([image.kind for image in images])
    occupied = np.concatenate([image.occupied for image in images])
    position = np.concatenate([image.position for image in images])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*head, "score", "error", "density", "angle_degrees", *codes])
        for site, number in enumerate(found.image):
            image = images[number]
            nm = ["", ""]
            if image.pixel_nm is not None:
                pairs = zip(position[site], image.pixel_nm, strict=True)
                nm = [f"{px * size:.4f}" for px, size in pairs]
            row, column = (f"{px:.3f}" for px in position[site])
            place = [image.name, row, column, *nm, kinds[site], int(occupied[site])]
            scores = (getattr(found.anomaly, name)[site] for name in ("score", "error", "density"))
            angle = math.degrees(found.angle[site])
            numbers = [*scores, angle, *found.codes[site]]
            writer.writerow([*place, found.labels[site] + 1, *(f"{x:.5g}" for x in numbers)])


def site_figures(found: SiteList, images: Sequence[SiteImage], most: int = 4) -> dict[str, Figure]:
    """Maps of the first images, the codes and the strangest sites of all images, by name."""
    figures = {}
    score = found.anomaly.score
    for number, image in enumerate(images[:most]):
        own = np.flatnonzero(found.image == number)
        worst = np.argsort(-score[own])[:WORST]
        name = "sites" if len(images) == 1 else f"sites_{number + 1}"
        figures[name] = site_map(
            image.recorded, image.position, found.labels[own], worst, f"{image.name}: its sites"
        )
    position = np.concatenate([image.position for image in images])
    worst = np.argsort(-score)[:WORST]
    lines = []
    for site in worst:
        image = images[found.image[site]]
        line = f"({position[site][0]:.0f}, {position[site][1]:.0f}) px"
        if len(images) > 1:
            line = f"{image.name[-14:]} {line}"
        if image.truth:
            index = site - np.flatnonzero(found.image == found.image[site])[0]
            line += f"\n{DEFECT_NAMES[image.truth['defect'][index]]}"
        lines.append(line)
    names = [f"class {label + 1}" for label in range(found.labels.max() + 1)]
    figures["latent"] = latent_pca(found.codes, found.labels, "class of the site", names)
    figures["worst_sites"] = worst_sites(
        found.patches[worst], found.made[worst], lines, score[worst], "The strangest sites"
    )
    return figures


def turned(net: Variational, images: Sequence[SiteImage]) -> float:
    """How much the codes of sites change when their patches are turned; see ``turned_share``."""
    angles = [2 * math.pi * turn / TURNS for turn in range(TURNS)]
    with torch.inference_mode():
        codes = [
            torch.cat([net.encode(site_patches(x, net.window, a)) for x in images]) for a in angles
        ]
    return turned_share(torch.stack(codes).double().numpy())


def examine_sites(
    net: Variational,
    images: Sequence[SiteImage],
    folder: Path,
    count: int | None = None,
    method: str = "kmeans",
) -> tuple[dict[str, Figure], dict[str, float]]:
    """Writes sites.csv to a folder; returns the pictures, and numbers: more where truth is known.

    Args:
        net: The trained network.
        images: With sites for its window.
        folder: Where the list goes.
        count: How many classes; None: as many as there are kinds of sites in the lattice.
        method: ``kmeans`` or ``gmm``.
    """
    found = look_at_sites(net, images, count, method)
    write_sites(found, images, folder / "sites.csv")
    numbers = site_numbers(found, images, net.symmetry) | {"sites/turned": turned(net, images)}
    return site_figures(found, images), numbers
