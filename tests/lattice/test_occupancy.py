"""Empty, occupied and unknown sites."""

import numpy as np
import pytest
from drawn_lattices import drawn, example, sites_of, turned
from scipy.spatial import KDTree

from stm_experiments.benchmarks.lattice import Settings, compare, simulate_lattice_scan
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.lattice.occupancy.mean_cell import Layout, average_cell

SIZE = 180
VECTORS = turned([[0, 11], [9.526, 5.5]], 17)


def surface(seed=0, missing=0.0):
    """A hexagonal surface with noise, and its sites: all, and which of them are vacant."""
    rng = np.random.default_rng(seed)
    places = sites_of(VECTORS, [[0, 0]], size=SIZE)
    vacant = rng.random(len(places)) < missing
    image = drawn(places[~vacant], 2.2, SIZE) + 0.03 * rng.standard_normal((SIZE, SIZE))
    return image, places, vacant


@pytest.mark.parametrize("surface_name", ["sc", "hex2", "srtio3", "tise2"])
def test_simulated_vacancies(surface_name):
    truth = simulate_lattice_scan(surface_name, Settings("realistic", 1, 257), 7)
    measures = compare(truth, find_lattice(truth.noisy))
    assert measures["precision"] >= 0.95
    assert measures["recall"] >= 0.95


def test_atoms_between_a_vacancy_and_the_usual_height_are_unknown():
    """Foreign atoms of .36 of the usual height are neither; the vacancies beside them are empty."""
    rng = np.random.default_rng(4)
    places = sites_of(VECTORS, [[0, 0]], size=SIZE)
    draw = rng.random(len(places))
    vacant, dim = draw < 0.05, (draw > 0.05) & (draw < 0.09)
    image = drawn(places[~vacant & ~dim], 2.2, SIZE) + 0.36 * drawn(places[dim], 2.2, SIZE)
    fit = find_lattice(image + 0.01 * rng.standard_normal((SIZE, SIZE)))
    seen = ((places > 12) & (places < SIZE - 12)).all(1)
    assert KDTree(places[vacant]).query(fit.sites[~fit.occupied])[0].max() < 1.5
    assert (KDTree(fit.sites[~fit.occupied]).query(places[vacant & seen])[0] < 1.5).mean() > 0.95
    assert (KDTree(fit.unknown).query(places[dim & seen])[0] < 1.5).mean() > 0.8


def test_heights_that_scatter_widely_make_no_empty_sites():
    """Two heights at random, as of a disordered alloy: the low atoms are no vacancies."""
    rng = np.random.default_rng(5)
    places = sites_of(VECTORS, [[0, 0]], size=SIZE)
    low = rng.random(len(places)) < 0.4
    image = drawn(places[~low], 2.2, SIZE) + 0.35 * drawn(places[low], 2.2, SIZE)
    fit = find_lattice(image + 0.03 * rng.standard_normal((SIZE, SIZE)))
    assert (~fit.occupied).mean() < 0.02


def test_sites_in_gaps_are_unknown():
    image, places, vacant = surface(missing=0.05)
    mask = np.ones(image.shape, bool)
    mask[88:98] = False
    mask[160:] = False  # an unfinished scan ends there
    fit = find_lattice(np.where(mask, image, np.nan))
    assert len(fit.unknown) > 10
    assert ((fit.unknown[:, 0] > 86) & (fit.unknown[:, 0] < 100)).mean() > 0.9
    assert KDTree(places).query(fit.unknown)[0].max() < 1.5
    assert KDTree(places[vacant]).query(fit.sites[~fit.occupied])[0].max() < 1.5


def test_clusters_and_steps_are_not_empty_sites():
    image, _, _ = surface()
    rows, columns = np.indices(image.shape)
    for centre, width in (((60, 60), 9), ((130, 120), 14)):
        away = np.hypot(rows - centre[0], columns - centre[1]) / width
        image = np.maximum(image, 3 * np.clip(1.5 - away, 0, 1))
    fit = find_lattice(image)
    assert fit.occupied.all()
    assert len(fit.unknown) > 0
    stepped = find_lattice(surface()[0] + 3 * (columns + 0.3 * rows > 100))
    assert stepped.occupied.all()


def test_scars_are_not_empty_sites():
    image, places, vacant = surface(missing=0.05)
    for row, start, end, height in ((40, 20, 150, 1.5), (80, 60, 170, -1.5), (120, 0, 180, -3.0)):
        image[row, start:end] += height
    empty = find_lattice(image)
    empty = empty.sites[~empty.occupied]
    seen = ((places > 12) & (places < SIZE - 12)).all(1)
    for row in (40, 80, 120):
        seen &= np.abs(places[:, 0] - row) > 9  # those in a scar may be unknown
    assert (KDTree(places[vacant]).query(empty)[0] < 2).mean() >= 0.95
    assert (KDTree(empty).query(places[vacant & seen])[0] < 2).mean() >= 0.9


def test_the_mean_cell_is_the_image_of_a_perfect_lattice():
    places, image = example("honeycomb")
    vectors = turned([[0, 18], [15.588, 9]], 17.0)
    cell = average_cell(image, np.ones(image.shape, bool), Layout(vectors, places, places, 10.4))
    laid = cell.lay_out(image.shape)
    assert np.isfinite(laid).mean() > 0.98
    assert np.nanmax(np.abs(laid - image)) < 0.12 * np.ptp(image)
