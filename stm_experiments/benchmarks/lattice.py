"""Measures how well the lattice finder finds lattices whose sites are known.

    python -m stm_experiments.benchmarks.lattice

Simulated scans of flat surfaces, each in another orientation, with all effects of the noise
(drift, creep, jitter, tip changes, substitutions, adatoms ...), and besides with 5 % local strain
and 5 % vacancies. The lattice is found in the image itself and as ``find_lattice`` does it by
default; ``--model none`` leaves the latter out. Vacant sites count as sites. All numbers are means
over images, with 95 % intervals. At the end stands how many of the errors of lattice vectors are
within one and two of their standard errors, on scans of graphite with known vectors.
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stm_experiments.core.arrays import Points
from stm_experiments.core.intervals import Interval, mean_and_interval
from stm_experiments.core.noise import noise_sigma
from stm_experiments.core.seeds import seed_of
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.atom_errors import position_bound
from stm_experiments.lattice.atoms import Matches, match_points, neighbour_distance
from stm_experiments.lattice.fit import LatticeFit, find_lattice
from stm_experiments.lattice.sites import fit_mean_lattice
from stm_experiments.lattice.vectors import LatticeError
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.recipes.find_lattice import find_precisely
from stm_experiments.restoration.denoise import DEFAULT
from stm_experiments.simulator import LATTICES, NOISES, PRESETS, DefectCode, simulate

# What the surfaces are: topmost sites of an untilted crystal, or a flat crystal.
SURFACES = {
    "sc": "square",
    "hex1": "hexagonal",
    "hex2": "centred rectangular",
    "mos2": "honeycomb, Mo and S2",
    "srtio3": "square, Sr and Ti",
    "tise2": "hexagonal with a wave",
    "zrte3": "rectangular with a wave",
}
NEAR = 0.2  # largest distance of a site from its true one, distances of nearest neighbours
GRAPHITE, GRAPHITE_PIXEL = 0.246, 0.0205  # lattice constant and pixel, nm
BORDER = 4.0  # px within which no sites are counted
STRAIN = VACANCIES = 0.05
COLUMNS = ("found", "false", "vectors", "rmse", "centred", "bound", "recall", "hidden", "precision")


class Truth(NamedTuple):
    """A scan and what is true of it. S sites.

    Attributes:
        noisy: The scan, [H, W].
        sites: Positions (row, column) of all sites, [S, 2] px.
        vacant: Which of them are vacant, [S].
        bound: Least possible error of a position, px.
    """

    noisy: NDArray[np.float64]
    sites: Points
    vacant: NDArray[np.bool_]
    bound: float


class Settings(NamedTuple):
    """The scans of one table.

    Attributes:
        noise: Name of the noise.
        images: Number of scans of each surface.
        size: Of a scan, px.
        first: Number of the first scan of each surface, which is its seed.
    """

    noise: str
    images: int
    size: int
    first: int = 0


def simulate_lattice_scan(surface: str, settings: Settings, number: int) -> Truth:
    """Simulate one scan with the named noise, strain and vacancies."""
    strengths = NOISES[settings.noise]
    strengths = replace(
        strengths,
        defects=replace(strengths.defects, vacancies=VACANCIES),
        sample=replace(strengths.sample, strain=STRAIN),
    )
    seed = seed_of("lattice finder", surface, number)
    turn = torch.rand(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    turn[1] = 0.0  # no tilt
    scan = simulate(
        [LATTICES[surface]],
        [seed],
        strengths,
        PRESETS["physical"],
        settings.size,
        orientation=turn[None],
    )
    # All sites: atoms without adatoms, and vacancies.
    atoms = scan.atoms
    places = torch.stack([atoms.u[0], atoms.v[0]], 1)[atoms.present[0]].numpy()
    defects = scan.truth["defect_position"][0].numpy()
    kinds = scan.truth["defect_kind"][0].numpy()
    adatoms = defects[kinds == DefectCode.ADATOM]
    if len(adatoms):
        places = places[np.abs(places[:, None] - adatoms).max(2).min(1) > 1e-6]
    vacant = defects[kinds == DefectCode.VACANCY]
    sites = np.concatenate([places, vacant])
    clean, noisy = (image[0, 0].double().numpy() for image in (scan.clean, scan.noisy))
    pixel = np.rint(places[_counted(places, clean.shape)]).astype(int)
    heights = clean[tuple(pixel.T)] - np.percentile(clean, 1)
    return Truth(
        noisy,
        sites,
        np.arange(len(sites)) >= len(places),
        position_bound(noise_sigma(noisy - clean), heights[heights > 0]),
    )


def _counted(places: Points, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which sites (row, column) [S, 2] are far enough from the border to count, [S]."""
    distance = np.minimum(places, np.array(shape) - 1 - places).min(1)
    return np.asarray(distance >= BORDER, bool)


def compare(truth: Truth, fit: LatticeFit | None) -> dict[str, float]:
    """Compare a fit with the truth; a lattice that was not found has found no site.

    Returns:
        ``found``: share of the true sites with a site within ``NEAR``; ``false``: share of the
        sites without a true one; ``vectors``: largest error of a lattice vector over its length,
        against the vectors fitted to the true sites; ``rmse`` and ``centred``: root mean square
        distance of measured atoms from the truth per axis, px, without and with the common shift
        subtracted (the feedback's lag); ``bound``: of ``rmse``, for the white noise alone, px;
        ``recall``: share of the vacancies found; ``hidden``: share of them that are unknown;
        ``precision``: share of the empty sites that are vacancies.
    """
    if fit is None:
        return {"lattice": 0.0, "found": 0.0, "recall": 0.0, "bound": truth.bound}
    shape = truth.noisy.shape
    pairs = match_points(truth.sites, fit.sites, NEAR * neighbour_distance(truth.sites))
    is_found = np.isin(np.arange(len(truth.sites)), pairs.first)
    is_true = np.isin(np.arange(len(fit.sites)), pairs.second)
    return {
        "lattice": 1.0,
        "found": float(is_found[_counted(truth.sites, shape)].mean()),
        "false": float(1 - is_true[_counted(fit.sites, shape)].mean()),
        "bound": truth.bound,
        **vector_errors(truth, fit, pairs),
        **position_error(truth, fit, pairs),
        **vacancy_measures(truth, fit, pairs),
    }


def vector_errors(truth: Truth, fit: LatticeFit, pairs: Matches) -> dict[str, float]:
    """Return ``vectors`` if enough sites of all kinds are matched."""
    cell, kind = fit.cell[pairs.second], fit.kind[pairs.second]
    if len(pairs.first) <= 12 or len(np.unique(kind)) < len(fit.basis):
        return {}
    vectors = fit_mean_lattice(cell, kind, truth.sites[pairs.first]).vectors
    error = np.linalg.norm(fit.vectors - vectors, axis=1) / np.linalg.norm(vectors, axis=1)
    return {"vectors": float(error.max())}


def position_error(truth: Truth, fit: LatticeFit, pairs: Matches) -> dict[str, float]:
    """Return ``rmse`` and ``centred`` of the matched atoms."""
    atoms = ~truth.vacant[pairs.first] & fit.occupied[pairs.second]
    error = (fit.sites[pairs.second] - truth.sites[pairs.first])[atoms]
    if not len(error):
        return {}
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "centred": float(np.sqrt(np.mean((error - error.mean(0)) ** 2))),
    }


def vacancy_measures(truth: Truth, fit: LatticeFit, pairs: Matches) -> dict[str, float]:
    """Return ``recall`` and ``hidden`` of the vacancies, ``precision`` of the empty sites."""
    measures = {}
    visible = truth.vacant & _counted(truth.sites, truth.noisy.shape)
    if visible.any():
        empty = pairs.first[~fit.occupied[pairs.second]]
        measures["recall"] = float(np.isin(np.arange(len(truth.sites)), empty)[visible].mean())
        near = NEAR * neighbour_distance(truth.sites)
        unknown = match_points(truth.sites, fit.unknown, near).first
        measures["hidden"] = float(np.isin(np.arange(len(truth.sites)), unknown)[visible].mean())
    reported = ~fit.occupied & _counted(fit.sites, truth.noisy.shape)
    if reported.any():
        vacant = pairs.second[truth.vacant[pairs.first]]
        measures["precision"] = float(np.isin(np.arange(len(fit.sites)), vacant)[reported].mean())
    return measures


def measure_table(settings: Settings, net: Network | None) -> Table:
    """Return the measures of all surfaces at a noise.

    Args:
        settings: The scans.
        net: Denoises where ``find_lattice`` does so; None: only the image itself is used.
    """
    table = Table(
        title=f"noise={settings.noise}, {settings.images} images of {settings.size} px each, "
        f"{STRAIN:.0%} strain, {VACANCIES:.0%} vacancies",
        box=box.SIMPLE,
    )
    for heading in ("surface", "in", "lattices", *COLUMNS, "s"):
        table.add_column(heading, justify="left" if heading in ("surface", "in") else "right")
    for surface, words in track(SURFACES.items(), settings.noise, transient=True):
        truths = [
            simulate_lattice_scan(surface, settings, settings.first + number)
            for number in range(settings.images)
        ]
        for name, network in {"image itself": None, "default": net}.items():
            if name == "default" and net is None:
                continue
            start = time.perf_counter()
            measures = [compare(truth, find_as_command(truth.noisy, network)) for truth in truths]
            seconds = (time.perf_counter() - start) / settings.images
            found = sum(values["lattice"] for values in measures)
            cells = [
                measure_text(
                    name, mean_and_interval([values.get(name, math.nan) for values in measures])
                )
                for name in COLUMNS
            ]
            where = f"{surface}: {words}", name, f"{found:.0f}/{settings.images}"
            table.add_row(*where, *cells, f"{seconds:.1f}")
    return table


def find_as_command(image: NDArray[np.float64], net: Network | None) -> LatticeFit | None:
    """Return the lattice that the command finds in an image; None: it refuses it.

    Args:
        image: [H, W].
        net: Denoises; None: ``denoise=false``.
    """
    scan = Scan(image, np.ones(image.shape, bool), "c", None, "Z")
    settings = {"denoise": "auto" if net else False, "invert": False, "grains": 1}
    try:
        return find_precisely(scan, net, settings).fits[0]
    except LatticeError:
        return None


class GraphiteScan(NamedTuple):
    """A scan of a hexagonal lattice whose vectors are known.

    Attributes:
        image: [H, W].
        vectors: In the image, (row, column) each, [2, 2] px.
    """

    image: NDArray[np.float64]
    vectors: NDArray[np.float64]


def simulate_graphite(
    seed: int, size: int = 110, drift: float = 0.0, noise: float = 0.3, jitter: float = 0.35
) -> GraphiteScan:
    """Simulate a tilted scan of graphite, turned at random.

    Args:
        seed: Of all that is drawn.
        size: px.
        drift: A shear and a stretch along the slow axis.
        noise: Standard deviation of white noise, amplitudes of a wave.
        jitter: Standard deviation of the shift of a row, px: a random walk that returns.
    """
    rng = np.random.default_rng(seed)
    turn = np.radians(60 * rng.random() + np.array([0, 120]))
    vectors = GRAPHITE / GRAPHITE_PIXEL * np.stack([np.sin(turn), np.cos(turn)], 1)
    bend = np.array([[1 + drift, -0.7 * drift], [0, 1]])
    rows, columns = np.mgrid[:size, :size].astype(float)
    shift = np.zeros(size)
    for row in range(1, size):
        shift[row] = 0.8 * shift[row - 1] + 0.6 * rng.standard_normal()
    place = np.stack([rows, columns - jitter * shift[:, None]], -1) @ np.linalg.inv(bend)
    g = np.linalg.inv(vectors).T
    image = sum(np.cos(2 * np.pi * place @ wave) for wave in (g[0], g[1], g[0] - g[1]))
    slope = rng.uniform(-0.3, 0.3, 2)
    image = image + slope[0] * rows + slope[1] * columns + noise * rng.standard_normal(rows.shape)
    return GraphiteScan(image, vectors @ bend)


def in_terms_of(
    vectors: NDArray[np.float64], fit: LatticeFit
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the found vectors that these ones stand for, [2, 2] px, and their covariance, [4, 4].

    A lattice has several pairs of shortest vectors.
    """
    change = np.round(vectors @ np.linalg.inv(fit.vectors))
    both = np.kron(change, np.eye(2))
    return change @ fit.vectors, both @ fit.covariance @ both.T


def errors_in_standard_errors(scans: Sequence[GraphiteScan]) -> NDArray[np.float64]:
    """Return the errors of lattice vectors in units of their standard errors, [N, 4]."""
    ratios = []
    for image, vectors in scans:
        found, covariance = in_terms_of(vectors, find_lattice(image))
        ratios.append(np.abs(found - vectors).ravel() / np.sqrt(np.diag(covariance)))
    return np.array(ratios)


def coverage_text(first: int, count: int) -> str:
    """Say how many errors are within one and two standard errors, with 95 % intervals by scan."""
    ratios = errors_in_standard_errors([simulate_graphite(first + n) for n in range(count)])
    shares = [mean_and_interval((ratios < limit).mean(1).tolist()) for limit in (1, 2)]
    one, two = (measure_text("coverage", share) for share in shares)
    return (
        f"errors of lattice vectors on {count} scans of graphite: {one} are within one standard "
        f"error, {two} within two"
    )


def measure_text(name: str, interval: Interval) -> str:
    """Return a measure as text: lengths in px, shares in percent."""
    in_px = name in ("rmse", "centred", "bound")
    factor, unit = (1, "") if in_px else (100, " %")
    digits = 2 if in_px or name == "vectors" else 1
    half = "" if interval.half is None else f" ± {factor * interval.half:.{digits}f}"
    return f"{factor * interval.mean:.{digits}f}{half}{unit}"


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--noise", nargs="+", default=["realistic", "realistic_hard"], choices=NOISES
    )
    parser.add_argument("--images", type=int, default=6, help="of each surface and noise; 0: none")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--size", type=int, default=257, help="of the images, px")
    parser.add_argument("--scans", type=int, default=40, help="of graphite; 0: none")
    parser.add_argument("--first-scan", type=int, default=1000, help="seed of the first of them")
    parser.add_argument("--model", default=DEFAULT, help="that denoises, or none")
    options = parser.parse_args()
    net = None if options.model == "none" else checkpoint.load(options.model)
    for noise in options.noise if options.images else []:
        table = measure_table(Settings(noise, options.images, options.size, options.first), net)
        Console(width=170).print(table)
    if options.scans:
        print(coverage_text(options.first_scan, options.scans))


if __name__ == "__main__":
    main()
