"""How well the lattice finder finds lattices whose sites are known.

    python -m stm_experiments.benchmarks.lattice

Simulated scans of flat surfaces, each of another orientation, with everything that the noise does
(drift, creep, jitter, tip changes, substitutions, adatoms ...), 5 % local strain and 5 % vacancies
on top. The shipped denoiser goes first, as in ``find_lattice``; ``--model none`` leaves it out.
Vacant sites count among the sites. All numbers are means over images, with 95 % intervals.
"""

import argparse
import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.core.noise import noise_sigma
from stm_experiments.core.seeds import seed_of
from stm_experiments.lattice.atom_errors import position_bound
from stm_experiments.lattice.atoms import Points, match_points, neighbour_distance
from stm_experiments.lattice.fit import LatticeFit, find_lattice
from stm_experiments.lattice.sites import fit_mean_lattice
from stm_experiments.lattice.vectors import LatticeError
from stm_experiments.models import checkpoint
from stm_experiments.restoration.denoise import DEFAULT, denoise
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
NEAR = 0.2  # of a site from its truth, distances of nearest neighbours
BORDER = 4.0  # px within which no sites are counted
STRAIN = VACANCIES = 0.05


class Truth(NamedTuple):
    """What is true of a scan: its sites [S,2] px, which are vacant [S], the bound, px."""

    noisy: NDArray[np.float64]
    sites: Points
    vacant: NDArray[np.bool_]
    bound: float


def simulated(surface: str, noise: str, number: int, size: int) -> Truth:
    """One scan, noise strengths as named, strain and vacancies added."""
    strengths = NOISES[noise]
    strengths = replace(
        strengths,
        defects=replace(strengths.defects, vacancies=VACANCIES),
        sample=replace(strengths.sample, strain=STRAIN),
    )
    seed = seed_of("lattice finder", surface, number)
    turn = torch.rand(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    turn[1] = 0.0  # no tilt
    scan = simulate(
        [LATTICES[surface]], [seed], strengths, PRESETS["physical"], size, orientation=turn[None]
    )
    # All sites: atoms without adatoms, and vacancies.
    atoms = scan.atoms
    places = torch.stack([atoms.u[0], atoms.v[0]], 1)[atoms.present[0]].numpy()
    defects = scan.truth["defect_position"][0].numpy()
    kinds = scan.truth["defect_kind"][0].numpy()
    above = defects[kinds == DefectCode.ADATOM]
    if len(above):
        places = places[np.abs(places[:, None] - above).max(2).min(1) > 1e-6]
    vacant = defects[kinds == DefectCode.VACANCY]
    sites = np.concatenate([places, vacant])
    clean, noisy = (image[0, 0].double().numpy() for image in (scan.clean, scan.noisy))
    inside = _inside(places, clean.shape, BORDER)
    pixel = np.rint(places[inside]).astype(int)
    heights = clean[tuple(pixel.T)] - np.percentile(clean, 1)
    return Truth(
        noisy,
        sites,
        np.arange(len(sites)) >= len(places),
        position_bound(noise_sigma(noisy - clean), heights[heights > 0]),
    )


def _inside(places: Points, shape: tuple[int, ...], border: float) -> NDArray[np.bool_]:
    far = np.minimum(places, np.array(shape) - 1 - places).min(1)
    return np.asarray(far >= border, bool)


def measures(truth: Truth, fit: LatticeFit | None) -> dict[str, float]:
    """How a fit compares with the truth; a lattice that was not found has found no site.

    Returns:
        ``found``: share of the true sites with a site within ``NEAR``; ``false``: share of the
        sites without a true one; ``vectors``: largest error of a lattice vector over its length,
        against the vectors fitted to the true sites; ``rmse`` and ``centred``: root mean square
        distance of measured atoms from the truth per axis, px, without and with the common shift
        taken off (the feedback's lag); ``bound``: of ``rmse``, for the white noise alone, px;
        ``recall``: share of the vacancies found; ``precision``: share of the empty sites that are
        vacancies.
    """
    near = neighbour_distance(truth.sites)
    inside = _inside(truth.sites, truth.noisy.shape, BORDER)
    if fit is None:
        return {"lattice": 0.0, "found": 0.0, "recall": 0.0, "bound": truth.bound}
    true, ours = match_points(truth.sites, fit.sites, NEAR * near)
    hit = np.isin(np.arange(len(truth.sites)), true)
    ok = np.isin(np.arange(len(fit.sites)), ours)
    kept = _inside(fit.sites, truth.noisy.shape, BORDER)
    values = {
        "lattice": 1.0,
        "found": float(hit[inside].mean()),
        "false": float(1 - ok[kept].mean()),
        "bound": truth.bound,
    }
    if len(true) > 12 and len(np.unique(fit.kind[ours])) == len(fit.basis):
        vectors, _, _ = fit_mean_lattice(fit.cell[ours], fit.kind[ours], truth.sites[true])
        wrong = np.linalg.norm(fit.vectors - vectors, axis=1) / np.linalg.norm(vectors, axis=1)
        values["vectors"] = float(wrong.max())
    atoms = ~truth.vacant[true] & fit.occupied[ours]
    error = (fit.sites[ours] - truth.sites[true])[atoms]
    if len(error):
        values["rmse"] = float(np.sqrt(np.mean(error**2)))
        values["centred"] = float(np.sqrt(np.mean((error - error.mean(0)) ** 2)))
    seen = truth.vacant & inside
    empty = np.isin(np.arange(len(truth.sites)), true[~fit.occupied[ours]])
    if seen.any():
        values["recall"] = float(empty[seen].mean())
    called = ~fit.occupied & kept
    if called.any():
        vacant = np.isin(np.arange(len(fit.sites)), ours[truth.vacant[true]])
        values["precision"] = float(vacant[called].mean())
    return values


def table(noise: str, images: int, size: int, prepare: Callable | None) -> Table:
    """The measures of all surfaces at a noise."""
    columns = ("found", "false", "vectors", "rmse", "centred", "bound", "recall", "precision")
    shown = Table(
        title=f"noise={noise}, {images} images of {size} px each, {STRAIN:.0%} strain, "
        f"{VACANCIES:.0%} vacancies{'' if prepare else ', not denoised'}",
        box=box.SIMPLE,
    )
    for heading in ("surface", "lattices", *columns, "s"):
        shown.add_column(heading, justify="left" if heading == "surface" else "right")
    for surface, words in track(SURFACES.items(), noise, transient=True):
        results, seconds = [], 0.0
        for number in range(images):
            truth = simulated(surface, noise, number, size)
            start = time.perf_counter()
            fit = None
            with contextlib.suppress(LatticeError):
                fit = find_lattice(prepare(truth.noisy) if prepare else truth.noisy)
            seconds += time.perf_counter() - start
            results.append(measures(truth, fit))
        row = [f"{surface}: {words}", f"{sum(r['lattice'] for r in results):.0f}/{images}"]
        for column in columns:
            mean, half = mean_and_interval([r.get(column, math.nan) for r in results])
            percent = column not in ("rmse", "centred", "bound")
            factor, digits, unit = (100, 1, " %") if percent else (1, 2, "")
            if column == "vectors":
                digits = 2
            spread = "" if half is None else f" ± {factor * half:.{digits}f}"
            row.append(f"{factor * mean:.{digits}f}{spread}{unit}")
        shown.add_row(*row, f"{seconds / images:.1f}")
    return shown


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--noise", nargs="+", default=["realistic", "realistic_hard"], choices=NOISES
    )
    parser.add_argument("--images", type=int, default=6, help="of each surface and noise")
    parser.add_argument("--size", type=int, default=257, help="of the images, px")
    parser.add_argument("--model", default=DEFAULT, help="that denoises first, or none")
    given = parser.parse_args()
    net = None if given.model == "none" else checkpoint.load(given.model)
    prepare = None if net is None else lambda image: denoise(image, net).data
    for noise in given.noise:
        Console(width=160).print(table(noise, given.images, given.size, prepare))


if __name__ == "__main__":
    main()
