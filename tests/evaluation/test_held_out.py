"""Scores on held-out images, the floor of their error, and the matrix of models and lattices."""

import csv

import pytest

from stm_experiments.core.intervals import Interval
from stm_experiments.evaluation.error_matrix import error_matrix, write_matrix
from stm_experiments.evaluation.held_out import HeldOutScores, lattice_floor
from stm_experiments.metrics.measures import noise_floor
from stm_experiments.metrics.scores import NOISY_INPUT


def scores(noisy, clean):
    """Return the scores of a network and of its input."""
    network = {"mse_noisy": Interval(noisy, 0.001)}
    if clean is None:
        return {"CAE-A": network, NOISY_INPUT: {"mse_noisy": Interval(0.0, None)}}
    untouched = {"mse_noisy": Interval(0.0, None), "mse_clean": Interval(clean, None)}
    return {"CAE-A": network, NOISY_INPUT: untouched}


def held_out(*lattices, clean=0.005):
    overall = scores(0.02, clean)
    by_lattice = {name: scores(0.01 * (1 + i), clean) for i, name in enumerate(lattices)}
    return HeldOutScores("test", overall, by_lattice)


def test_several_lattices_have_numbers_of_their_own():
    several = held_out("sc", "fcc")
    assert several.title == "test images of sc, fcc"
    numbers = several.numbers(own="CAE-A")
    assert numbers["test/mse_noisy"] == 0.02
    assert numbers["test/mse_noisy_ci95"] == 0.001
    assert numbers["test/fcc/mse_noisy"] == 0.02
    assert numbers["noisy input/test/sc/mse_clean"] == 0.005
    assert not any("fcc" in key for key in held_out("fcc").numbers())


def test_the_floor_is_that_of_a_cut_through_a_crystal():
    assert lattice_floor(held_out("sc", "fcc"), 17) == noise_floor(0.005, 17**2)
    assert lattice_floor(held_out("sc"), None) is None
    assert lattice_floor(held_out("sc", clean=None), 17) is None
    assert lattice_floor(held_out("sc", "zrte3"), 17) is None


def test_a_matrix_has_a_row_per_model_and_a_column_per_lattice(tmp_path):
    matrix = error_matrix(held_out("sc", "fcc").by_lattice)
    assert matrix["CAE-A"] == pytest.approx({"sc": 0.01, "fcc": 0.02})
    write_matrix(matrix, tmp_path / "matrix.csv")
    with (tmp_path / "matrix.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["model", "sc", "fcc"]
    assert rows[1] == ["CAE-A", "0.01", "0.02"]
