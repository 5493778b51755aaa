"""The Bravais class of drawn lattices: known, turned, noisy, strained, with weak superlattices."""

import math

import numpy as np
import pytest
import torch

from stm_experiments import render_topographs
from stm_experiments.benchmarks import bravais
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.lattice.site_table import describe_lattice
from stm_experiments.lattice.symmetry.bravais import BRAVAIS, find_symmetry
from stm_experiments.lattice.vectors import LatticeError

SIZE = 200
# Vectors (px), and places and heights of the atoms of a cell, where the class allows them.
CELLS = {
    "hexagonal": ([[0, 20], [10 * math.sqrt(3), 10]], [(0, 0, 1), (1 / 3, 1 / 3, 0.6)]),
    "square": ([[0, 18], [18, 0]], [(0, 0, 1), (0.5, 0.5, 0.4)]),
    "rectangular": ([[0, 15], [23, 0]], [(0, 0, 1), (0.5, 0.3, 0.5), (0.5, -0.3, 0.5)]),
    "centred rectangular": ([[12, 8.5], [12, -8.5]], [(0, 0, 1), (0.3, 0.3, 0.5)]),
    "oblique": ([[0, 14], [19, 4]], [(0, 0, 1), (0.3, 0.4, 0.5)]),
}


def drawn(vectors, atoms, degrees=0.0, shear=0.0, noise=0.0):
    """Gaussian atoms on a turned and then sheared lattice, [SIZE, SIZE]; noise in signal sd."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    bent = np.array([[c, s], [-s, c]]) @ np.array([[1, shear], [0, 1]])
    vectors = np.array(vectors, float) @ bent
    cells = np.stack(np.meshgrid(*[np.arange(-30, 31)] * 2, indexing="ij"), -1).reshape(-1, 2)
    pixel = np.arange(SIZE)
    image = np.zeros((SIZE, SIZE))
    for *place, height in atoms:
        points = (cells + place) @ vectors + SIZE / 2 + 0.3
        points = points[((points > -9) & (points < SIZE + 9)).all(1)]
        rows, columns = (np.exp(-0.125 * (pixel - x[:, None]) ** 2) for x in points.T)
        image += height * rows.T @ columns
    return image + noise * image.std() * np.random.default_rng(0).standard_normal(image.shape)


@pytest.mark.parametrize(("degrees", "noise"), [(0, 0), (17, 1), (64, 0)])
@pytest.mark.parametrize("name", CELLS)
def test_all_classes_at_any_angle(name, degrees, noise):
    found = find_symmetry(drawn(*CELLS[name], degrees, noise=noise))
    assert found.bravais == name
    assert found.runner_up in set(BRAVAIS) - {name}
    area = abs(np.linalg.det(CELLS[name][0]))
    assert abs(np.linalg.det(found.vectors)) == pytest.approx(area, rel=0.01)


def test_a_high_confidence_needs_a_clear_class():
    assert find_symmetry(drawn(*CELLS["square"], 17)).confidence == "high"
    near_square = drawn([[0, 18], [18.6, 0]], [(0, 0, 1)])  # could be drift
    assert find_symmetry(near_square).confidence == "low"


@pytest.mark.parametrize("shear", [0.01, 0.02])
@pytest.mark.parametrize("name", ["hexagonal", "square"])
def test_drift_keeps_the_class_and_takes_confidence(name, shear):
    found = find_symmetry(drawn(*CELLS[name], 17, shear))
    assert (found.bravais, found.confidence) == (name, "low")
    assert found.strain == pytest.approx(shear / 2, rel=0.2)


def test_drift_does_not_hide_what_the_atoms_tell():
    """A square cell whose motif is rectangular is not square, whatever its vectors are."""
    atoms = [(0, 0, 1), (0.5, 0.3, 0.6), (0.5, -0.3, 0.6)]
    found = find_symmetry(drawn([[0, 20], [20, 0]], atoms, 10))
    assert found.bravais == "rectangular"
    assert found.strain < 0.005


@pytest.mark.parametrize("noise", [0, 0.5])
def test_weak_superlattices(noise):
    """Rows that alternate by a quarter in height halve the symmetry of a square lattice."""
    vectors = [[0, 12], [24, 0]]
    found = find_symmetry(drawn(vectors, [(0, 0, 1), (0, 0.5, 0.75)], 30, noise=noise))
    assert found.bravais == "rectangular"
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx([12, 24], rel=0.01)


def test_body_atoms_that_are_lower_make_the_cell_primitive():
    found = find_symmetry(drawn([[0, 16], [16, 0]], [(0, 0, 1), (0.5, 0.5, 0.8)]))
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx([16, 16], rel=0.01)


def test_one_wave_of_the_instrument_is_no_superlattice():
    rows, columns = np.indices((SIZE, SIZE))
    image = drawn(*CELLS["hexagonal"], 8)
    image += 0.3 * image.std() * np.sin(2 * np.pi * (0.031 * rows + 0.011 * columns))
    assert find_symmetry(image).bravais == "hexagonal"


def test_steps_of_a_vicinal_surface_make_no_superlattice():
    """The steps of a tilted crystal repeat with a period that no cell of its atoms has."""
    image = render_topographs("sc", torch.tensor([[0.5, 0.8, 0.1]]))[0, 0].double().numpy()
    image += 0.05 * image.std() * np.random.default_rng(0).standard_normal(image.shape)
    fit = find_lattice(image)
    found = find_symmetry(image, sites=fit.vectors)
    assert abs(np.linalg.det(found.vectors)) == pytest.approx(124, rel=0.02)
    assert found.confidence == "low"
    apart = 10 / math.sin(0.8 * math.pi / 4)  # steps of one lattice constant, 10 px
    assert 1 / np.linalg.norm(found.foreign) == pytest.approx(apart, rel=0.01)
    words = describe_lattice(fit, found, "m")["summary"]
    assert "a strong wave of 17 px does not belong to this cell" in words


def test_pixels_that_are_not_square():
    image = drawn([[0, 18], [18, 0]], [(0, 0, 1)], 20)[::2]
    assert find_symmetry(image, pixel_nm=(0.2, 0.1)).bravais == "square"
    assert find_symmetry(image).bravais != "square"


def test_noise_has_no_class():
    with pytest.raises(LatticeError):
        find_symmetry(np.random.default_rng(0).standard_normal((SIZE, SIZE)))


def test_simulated_micrographs(shared):
    """The first picture of each class, with noise as strong as the signal."""
    folder = shared / "data" / "bravais"
    if not folder.is_dir():
        pytest.skip(f"needs the pictures of AtomVision in {folder}")
    pictures = bravais.find_pictures(folder, "development")
    for path, label in [next(p for p in pictures if p[1] == label) for label in range(5)]:
        assert bravais.classify(path, label, 1.0).number == label


def test_balanced_accuracy_weights_classes_alike():
    labels, found = [0, 0, 0, 1], [0, 0, 0, 2]
    assert bravais.balanced_accuracy(labels, found) == 0.5
    low, high = bravais.accuracy_interval([0] * 10 + [1] * 10, [0] * 10 + [1] * 5 + [0] * 5)
    assert low < 0.75 < high
