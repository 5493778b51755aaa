"""The sites of images through a trained network: classes, anomalies, a list and pictures."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from stm_experiments.core.files import write_csv
from stm_experiments.core.texts import spreadsheet_text
from stm_experiments.data.sites.sites import SiteImage, cut_squares, disc
from stm_experiments.figures.anomalous_sites import anomalous_sites
from stm_experiments.figures.codes.latent_pca import latent_pca
from stm_experiments.figures.site_map import site_map
from stm_experiments.lattice.site_classes import (
    AnomalyScores,
    angle_errors,
    class_agreement,
    classify_sites,
    defect_auroc,
    rotation_variance,
    score_anomalies,
)
from stm_experiments.models.interfaces import Variational
from stm_experiments.simulator import DefectCode

TURNS = 12  # of each patch, for the invariance
WORST = 16  # sites shown in pictures
MAPS = 4  # images whose sites are drawn
DEFECTS = {
    "vacancy": (DefectCode.VACANCY,),
    "adatom": (DefectCode.ADATOM,),
    "substitution": (DefectCode.BRIGHTER, DefectCode.DARKER),
    "part of a vacancy": (DefectCode.PARTIAL_VACANCY,),
}
DEFECT_NAMES = {code: name for name, codes in DEFECTS.items() for code in codes} | {
    DefectCode.NONE: "perfect"
}
COLUMNS = (
    "image", "row_px", "column_px", "row_nm", "column_nm", "kind", "occupied", "class",
    "score", "error", "density", "angle_degrees",
)  # fmt: skip


class InferredSites(NamedTuple):
    """Classes and anomalies of the sites of several images, taken together. S sites.

    Attributes:
        image: Index of each site's image, [S].
        patches: Patches around the sites, [S, 1, w, w].
        reconstructions: The same through the network, [S, 1, w, w].
        codes: Content codes, [S, D].
        angle: Angle of the content, rad, [S]; 0 from a network without poses.
        labels: Class of each site, from 0, the largest class first, [S].
        anomaly: How unlikely each site is.
    """

    image: NDArray[np.int64]
    patches: NDArray[np.float64]
    reconstructions: NDArray[np.float64]
    codes: NDArray[np.float64]
    angle: NDArray[np.float64]
    labels: NDArray[np.int64]
    anomaly: AnomalyScores


class SiteReport(NamedTuple):
    """What a trained network infers of the sites of images.

    Attributes:
        images: With sites for the network's window.
        sites: Their sites.
        figures: By file name.
        numbers: Flat numbers for metrics.json; more where the truth is known.
    """

    images: Sequence[SiteImage]
    sites: InferredSites
    figures: dict[str, Figure]
    numbers: dict[str, float]


def examine_sites(
    net: Variational,
    images: Sequence[SiteImage],
    count: int | None = None,
    method: str = "kmeans",
) -> SiteReport:
    """Infer the sites of images, draw them and compare them with the truth, where it is known.

    Args:
        net: The trained network, in evaluation mode.
        images: With sites for its window.
        count: Number of classes; None: as many as there are kinds of sites in the lattice.
        method: Of finding classes: ``kmeans`` or ``gmm``.
    """
    sites = infer_sites(net, images, count, method)
    numbers = site_numbers(sites, images, net.symmetry)
    numbers["turned"] = variance_under_turns(net, images)
    return SiteReport(images, sites, site_figures(sites, images), numbers)


def infer_sites(
    net: Variational, images: Sequence[SiteImage], count: int | None = None, method: str = "kmeans"
) -> InferredSites:
    """Infer classes and anomalies of the sites of images; see ``examine_sites``."""
    window = net.window
    patches = torch.cat([site_patches(image, window) for image in images])
    with torch.inference_mode():
        inference = net.infer(patches)
        generated = net.generate(inference.mean, inference.turn, inference.shift) * disc(window)
    codes = inference.mean.double().numpy()
    if count is None:
        count = max(int(image.kind.max()) + 1 for image in images)
    originals, reconstructions = patches.double().numpy(), generated.double().numpy()
    return InferredSites(
        image=np.repeat(np.arange(len(images)), [len(image.kind) for image in images]),
        patches=originals,
        reconstructions=reconstructions,
        codes=codes,
        angle=torch.atan2(inference.turn[:, 1], inference.turn[:, 0]).double().numpy(),
        labels=classify_sites(codes, count, method),
        anomaly=score_anomalies(originals[:, 0], reconstructions[:, 0], codes),
    )


def site_patches(image: SiteImage, window: int, angle: float = 0.0) -> Tensor:
    """Return the patches around all sites of an image, turned by an angle (rad), [S, 1, w, w]."""
    angles = torch.full((len(image.kind),), angle)
    return cut_squares(image.image, image.place, window, angles) * disc(window)


def variance_under_turns(net: Variational, images: Sequence[SiteImage]) -> float:
    """Return how much the codes of sites change when their patches are turned; 0 is invariant."""
    window = net.window
    codes = []
    with torch.inference_mode():
        for turn in range(TURNS):
            angle = 2 * math.pi * turn / TURNS
            patches = [site_patches(image, window, angle) for image in images]
            codes.append(torch.cat([net.encode(each) for each in patches]))
    return rotation_variance(torch.stack(codes).double().numpy())


def site_numbers(
    sites: InferredSites, images: Sequence[SiteImage], symmetry: int
) -> dict[str, float]:
    """Compare classes, anomalies and angles with the truth.

    Args:
        sites: Of the images.
        images: With their truth.
        symmetry: n of the n-fold axis of the angles.

    Returns:
        Empty without truth. ``ari``: adjusted Rand index over the sites without a defect;
        ``auroc`` of defects among all sites, and of each kind of defect that occurs;
        ``angle_error``: root mean square modulo 2 pi/n, degrees, of sites without a defect.
    """
    if not all(image.truth for image in images):
        return {}
    kind, defect, turn = (
        np.concatenate([image.truth[name] for image in images])
        for name in ("kind", "defect", "turn")
    )
    is_perfect, score = defect == DefectCode.NONE, sites.anomaly.score
    numbers = {
        "ari": class_agreement(sites.labels[is_perfect], kind[is_perfect]),
        "auroc": defect_auroc(score, ~is_perfect),
    }
    for name, codes in DEFECTS.items():
        among = is_perfect | np.isin(defect, codes)
        auroc = defect_auroc(score[among], ~is_perfect[among])
        numbers[f"auroc_{name.replace(' ', '_')}"] = auroc
    if np.ptp(sites.angle) > 0:
        angle = sites.angle[is_perfect]
        errors = angle_errors(angle, turn[is_perfect], kind[is_perfect], symmetry)
        numbers["angle_error"] = math.degrees(float(np.sqrt(np.mean(errors**2))))
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def write_sites(report: SiteReport, path: Path) -> None:
    """Write a row for each site as CSV: place, kind, class, anomaly, angle and code."""
    codes = [f"code_{index}" for index in range(report.sites.codes.shape[1])]
    write_csv(path, [*COLUMNS, *codes], _site_rows(report.sites, report.images))


def _site_rows(sites: InferredSites, images: Sequence[SiteImage]) -> Iterator[list[object]]:
    """Yield the cells of each site in the order of COLUMNS, and its code."""
    for site, index in enumerate(_index_in_image(sites)):
        image = images[sites.image[site]]
        position = image.position[index]
        nm = ["", ""]
        if image.pixel_nm is not None:
            pairs = zip(position, image.pixel_nm, strict=True)
            nm = [f"{px * size:.4f}" for px, size in pairs]
        numbers = (
            sites.anomaly.score[site],
            sites.anomaly.error[site],
            sites.anomaly.density[site],
            math.degrees(sites.angle[site]),
            *sites.codes[site],
        )
        yield [
            spreadsheet_text(image.name),
            *(f"{px:.3f}" for px in position),
            *nm,
            image.kind[index],
            int(image.occupied[index]),
            sites.labels[site] + 1,
            *(f"{number:.5g}" for number in numbers),
        ]


def _index_in_image(sites: InferredSites) -> NDArray[np.int64]:
    """Return the index of each site among the sites of its image, [S]."""
    counts = np.bincount(sites.image)
    return np.concatenate([np.arange(count) for count in counts])


def site_figures(sites: InferredSites, images: Sequence[SiteImage]) -> dict[str, Figure]:
    """Draw maps of the first images, the codes and the most anomalous sites, by file name."""
    figures = {}
    score = sites.anomaly.score
    for number, image in enumerate(images[:MAPS]):
        here = np.flatnonzero(sites.image == number)
        worst = np.argsort(-score[here])[:WORST]
        name = "sites" if len(images) == 1 else f"sites_{number + 1}"
        figures[name] = site_map(
            image.recorded,
            image.position,
            sites.labels[here],
            worst,
            f"{image.name}: its sites",
            image.pixel_nm,
        )
    names = [f"class {label + 1}" for label in range(sites.labels.max() + 1)]
    figures["latent"] = latent_pca(sites.codes, sites.labels, "class of the site", names)
    worst = np.argsort(-score)[:WORST]
    figures["worst_sites"] = anomalous_sites(
        sites.patches[worst],
        sites.reconstructions[worst],
        _captions(sites, images, worst),
        score[worst],
        "The most anomalous sites",
    )
    return figures


def _captions(
    sites: InferredSites, images: Sequence[SiteImage], chosen: NDArray[np.int64]
) -> list[str]:
    """Return where each of the chosen sites is, and its defect where the truth is known."""
    captions, indices = [], _index_in_image(sites)
    for site in chosen:
        image, index = images[sites.image[site]], indices[site]
        row, column = image.position[index]
        caption = f"({row:.0f}, {column:.0f}) px"
        if len(images) > 1:
            caption = f"{image.name[-14:]} {caption}"
        if image.truth:
            caption += f"\n{DEFECT_NAMES[image.truth['defect'][index]]}"
        captions.append(caption)
    return captions
