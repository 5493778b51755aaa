"""Scans and arrays are taken alike."""

import numpy as np
import pytest

from stm_experiments.io import Scan, ScanError
from stm_experiments.lattice.fit import find_grains, find_lattice
from stm_experiments.lattice.measured import as_measured, fullest_window
from stm_experiments.lattice.point_defects import find_point_defects

ROWS, COLUMNS = np.mgrid[:120, :120]
IMAGE = np.cos(2 * np.pi * ROWS / 10) + np.cos(2 * np.pi * COLUMNS / 12)
MASK = np.ones(IMAGE.shape, bool)
MASK[:30] = False
SCAN = Scan(1e-11 * IMAGE, MASK, "m", (0.03, 0.02), "Z")


def test_arguments_go_before_what_the_scan_says():
    assert as_measured(IMAGE).mask is None
    assert as_measured(IMAGE).pixel_nm is None
    measured = as_measured(SCAN)
    np.testing.assert_array_equal(measured.mask, MASK)
    assert measured.pixel_nm == (0.03, 0.02)
    measured = as_measured(SCAN, ~MASK, (1.0, 1.0))
    np.testing.assert_array_equal(measured.mask, ~MASK)
    assert measured.pixel_nm == (1.0, 1.0)


def test_the_lattice_of_a_scan_is_that_of_its_measured_pixels():
    fit = find_lattice(SCAN)
    assert fit.pixel_nm == (0.03, 0.02)
    assert fit.sites[:, 0].min() > 29
    np.testing.assert_allclose(
        sorted(np.linalg.norm(fit.vectors_nm, axis=1)), [0.24, 0.3], rtol=1e-2
    )
    (grain,) = find_grains(SCAN, most=1)
    np.testing.assert_array_equal(grain.sites, fit.sites)


def test_the_defects_of_a_scan_are_those_of_its_measured_pixels():
    scan = SCAN.with_data(SCAN.data + 2e-11 * ((ROWS - 70) ** 2 + (COLUMNS - 64) ** 2 < 5))
    defects = find_point_defects(scan)
    np.testing.assert_allclose(defects.position[0], [70, 64], atol=1.5)
    assert defects.bright[0]
    other = find_point_defects(scan.data, scan.mask)
    np.testing.assert_array_equal(defects.position, other.position)


def test_one_absurd_pixel_counts_as_not_measured():
    spoilt = IMAGE.copy()
    spoilt[70, 64] = 1e30
    fit = find_lattice(spoilt)
    np.testing.assert_allclose(sorted(np.linalg.norm(fit.vectors, axis=1)), [10, 12], rtol=1e-2)
    assert not as_measured(spoilt).mask[70, 64]
    assert not as_measured(SCAN.with_data(spoilt)).mask[70, 64]
    assert len(find_point_defects(spoilt).score) == len(find_point_defects(IMAGE).score)
    with pytest.raises(ScanError, match=r"a mask of shape \(3, 4\) for an image"):
        find_lattice(IMAGE, np.ones((3, 4), bool))


def test_the_fullest_window_is_the_measured_part_or_the_middle():
    mask = np.ones((100, 60), bool)
    assert fullest_window(mask, 40) == (slice(30, 70), slice(10, 50))
    assert fullest_window(mask, 200) == (slice(0, 100), slice(0, 60))
    mask[:60] = False
    assert fullest_window(mask, 40) == (slice(60, 100), slice(10, 50))
