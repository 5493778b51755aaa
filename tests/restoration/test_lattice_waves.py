"""Two crossed hums look like a lattice, and are told from one."""

import numpy as np
import pytest

from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.restoration.waves.lattice_waves import doubt_lattice

SIZE = 200
ROWS, COLUMNS = np.indices((SIZE, SIZE))


def scan_of(data):
    noise = 0.1 * np.random.default_rng(0).standard_normal(data.shape)
    return Scan(data + noise, np.ones(data.shape, bool), "m", None, "")


def hums(first, second, sign):
    return scan_of(
        sum(np.cos(2 * np.pi * (k * ROWS + sign * q * COLUMNS)) for k, q in (first, second))
    )


@pytest.mark.parametrize(
    "waves", [((0.06, 0.07), (0.05, -0.08)), ((0.09, 0.02), (0.03, 0.08)), ((0.0, 0.08), (0.08, 0))]
)
def test_crossed_hums_are_doubted(waves):
    scan = hums(*waves, 1)
    vectors = find_lattice(scan).vectors
    assert "two plane waves without" in doubt_lattice(scan, vectors)


def test_the_other_trace_tells_time_from_sample():
    scan = hums((0.06, 0.07), (0.05, -0.08), 1)
    vectors = find_lattice(scan).vectors
    assert "not in the other trace" in doubt_lattice(
        scan, vectors, hums((0.06, 0.07), (0.05, -0.08), -1)
    )
    assert doubt_lattice(scan, vectors, hums((0.06, 0.07), (0.05, -0.08), 1)) is None


def test_atoms_are_not_doubted():
    profile = [
        np.exp(-((((n + 0.3 * m) % 11) - 5) ** 2) / 10)
        for n, m in ((ROWS, COLUMNS), (COLUMNS, -ROWS))
    ]
    scan = scan_of(profile[0] * profile[1])
    assert doubt_lattice(scan, find_lattice(scan).vectors) is None


def test_hums_with_harmonics_are_doubted_too():
    """Atoms cause sums of two waves; the harmonics of a hum are its own."""
    first, second = (0.06, 0.07), (0.05, -0.08)
    data = sum(
        np.cos(2 * np.pi * n * (k * ROWS + q * COLUMNS)) / n
        for n in (1, 2)
        for k, q in (first, second)
    )
    scan = scan_of(data)
    vectors = np.linalg.inv([first, second]).T
    assert "two plane waves without their sums" in doubt_lattice(scan, vectors)


def test_one_hum_is_no_lattice():
    scan = scan_of(sum(np.cos(2 * np.pi * n * (0.02 * ROWS + 0.1 * COLUMNS)) / n for n in (1, 2)))
    vectors = np.array([[0.0, 10.0], [8.0, 2.0]])
    assert "in one direction at most" in doubt_lattice(scan, vectors)
    assert "in one direction at most" in doubt_lattice(scan_of(np.zeros((SIZE, SIZE))), vectors)
