"""Atoms that a denoiser invents or erases are marked; atoms that are there are not."""

import numpy as np
import pytest

import stm_experiments
from stm_experiments.benchmarks.quality.surfaces.catalogue import SURFACES
from stm_experiments.figures.whole_image import whole_image
from stm_experiments.io import Scan
from stm_experiments.restoration.whole_atoms import (
    calibration,
    find_rises,
    find_uncertain_atoms,
    score_atoms,
)

SHAPE = (120, 140)
PERIOD = 14.0
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
EVERYWHERE = np.ones(SHAPE, bool)


def bump(row, column, height=1.0, width=3.0):
    return height * np.exp(-((ROWS - row) ** 2 + (COLUMNS - column) ** 2) / (2 * width**2))


def lattice(without=()):
    rows, columns = (np.arange(10, side - 5, PERIOD) for side in SHAPE)
    places = [(row, column) for row in rows for column in columns]
    return sum(bump(*place) for number, place in enumerate(places) if number not in without), places


def white(sigma, seed=0):
    return np.random.default_rng(seed).normal(0, sigma, SHAPE)


def near(places, place):
    return (np.abs(places - place).max(1) <= 3).any() if len(places) else False


def test_the_typical_distance_is_the_lattices():
    wave = np.cos(2 * np.pi * ROWS / PERIOD) * np.cos(2 * np.pi * COLUMNS / PERIOD)
    assert find_rises(wave).period == pytest.approx(PERIOD / np.sqrt(2), rel=0.1)
    assert find_rises(3 * wave + 5).period == pytest.approx(find_rises(wave).period)


def test_atoms_of_a_right_result_are_certain():
    clean, places = lattice()
    found = find_uncertain_atoms(clean + white(0.05), clean, np.full(SHAPE, 0.03), EVERYWHERE)
    assert found.certain == len(places)
    assert len(found.invented) == len(found.lost) == 0
    assert f"{len(places)} of {len(places)} atoms are certain" in found.sentence()


def test_an_atom_that_is_missing_in_the_result_is_marked_where_it_was():
    clean, places = lattice()
    wrong, _ = lattice(without=[20])
    found = find_uncertain_atoms(clean + white(0.05), wrong, np.full(SHAPE, 0.03), EVERYWHERE)
    assert near(found.lost, places[20])
    assert len(found.lost) == 1


def test_an_atom_that_rises_no_more_than_its_error_is_marked():
    clean, places = lattice()
    deviation = np.full(SHAPE, 0.03)
    deviation[int(places[20][0]) - 6 :, int(places[20][1]) - 6 :][:13, :13] = 0.8
    found = find_uncertain_atoms(clean + white(0.05), clean, deviation, EVERYWHERE)
    assert len(found.invented) == 1
    assert near(found.invented, places[20])


def test_maxima_of_noise_are_no_atoms_and_the_sentence_says_so():
    found = find_uncertain_atoms(white(1.0), white(0.1, 1), np.full(SHAPE, 0.1), EVERYWHERE)
    assert found.certain == 0
    assert f"of the {len(found.invented)} maxima none is certain" in found.sentence()


def test_scores_depend_neither_on_the_unit_nor_on_the_tilt():
    clean, _ = lattice()
    noisy, deviation = clean + white(0.05), np.full(SHAPE, 0.03)
    once = score_atoms(noisy, clean, deviation, find_rises(clean))
    plane = 1e-12 * (ROWS + 2 * COLUMNS)
    again = score_atoms(
        1e-9 * noisy + plane, 1e-9 * clean + plane, 1e-9 * deviation, find_rises(1e-9 * clean)
    )
    np.testing.assert_allclose(again.present, once.present, rtol=0.05)


def test_a_flat_image_has_no_atoms():
    flat = np.ones(SHAPE)
    found = find_uncertain_atoms(flat, flat, np.zeros(SHAPE), EVERYWHERE)
    assert found.certain == len(found.invented) == len(found.lost) == 0


@pytest.fixture(scope="module")
def result():
    """Vacancies in noise. Rows that were not measured shift the places."""
    rng = np.random.default_rng(3)
    surface = SURFACES["vacancies"].draw(rng, (128, 128))
    heights = np.full((150, 128), np.nan)
    heights[22:] = surface.heights + rng.normal(0, 0.15, (128, 128))
    mask = np.isfinite(heights)
    scan = Scan(np.where(mask, heights, 0.0), mask, "m", (0.1, 0.1), "scan")
    return stm_experiments.denoise(scan, uncertainty=True), surface.places + np.array([22, 0])


def test_denoise_marks_atoms_around_vacancies_in_pixels_of_the_whole_scan(result):
    denoised, vacancies = result
    atoms = denoised.uncertain_atoms
    assert atoms.certain > 300
    assert len(atoms.invented) > 0
    assert denoised.history[-1] == atoms.sentence()
    for places in (atoms.invented, atoms.lost):
        assert (places[:, 0] >= 22).all()
    around = np.linalg.norm(atoms.invented[:, None] - vacancies, axis=2).min(1)
    assert np.median(around) < 20


def test_the_picture_has_the_marks_or_says_why_not(result):
    atoms = result[0].uncertain_atoms
    image = np.random.default_rng(0).random((150, 128))
    figure = whole_image(image, image, "m", 0.1, "scan", uncertain_atoms=atoms)
    shown = sum(len(line.get_xdata()) for line in figure.axes[1].lines)
    assert shown >= len(atoms.invented) + len(atoms.lost)
    many = atoms._replace(certain=0)
    figure = whole_image(image, image, "m", 0.1, "scan", uncertain_atoms=many)
    assert sum(len(line.get_xdata()) for line in figure.axes[1].lines) < shown


def test_without_uncertainty_nothing_is_marked():
    assert stm_experiments.denoise(lattice()[0] + white(0.1)).uncertain_atoms is None


def test_the_calibration_states_its_guarantee():
    shipped = calibration()
    assert (shipped.share, shipped.confidence) == (0.01, 0.95)
    assert shipped.threshold > 0
    assert shipped.scans > 298  # fewer cannot bound one per cent, even without an error


def test_a_single_wave_has_no_atoms():
    rows, columns = np.mgrid[:96, :96]
    hum = np.sin(2 * np.pi * (columns / 7.3 + rows / 31))
    found = find_uncertain_atoms(hum, hum, np.full_like(hum, 1e-6), np.ones(hum.shape, bool))
    assert found.certain == 0
    assert "read no single atom" in found.sentence()
    crossed = hum + 0.5 * np.sin(2 * np.pi * rows / 9)
    found = find_uncertain_atoms(
        crossed, crossed, np.full_like(hum, 1e-6), np.ones(hum.shape, bool)
    )
    assert found.certain > 50
