import numpy as np
import pytest

from stm_experiments.core.planes import centred_axes, fit_plane, fit_polynomial, subtract_plane

ROWS, COLUMNS = np.mgrid[:30, :41].astype(float)
TILTED = 3.0 + 0.5 * (ROWS - 14.5) - 0.25 * (COLUMNS - 20)


def test_axes_are_counted_from_the_centre():
    rows, columns = centred_axes((2, 3))
    np.testing.assert_array_equal(rows, [[-0.5], [0.5]])
    np.testing.assert_array_equal(columns, [[-1, 0, 1]])


def test_a_plane_is_recovered():
    plane = fit_plane(TILTED)
    assert plane == pytest.approx((3.0, 0.5, -0.25), abs=1e-12)
    np.testing.assert_allclose(plane.heights(TILTED.shape), TILTED, atol=1e-12)
    np.testing.assert_allclose(subtract_plane(TILTED), 0, atol=1e-12)


def test_masked_pixels_do_not_count():
    mask = np.ones(TILTED.shape, bool)
    mask[3:7, 5:9] = False
    spoilt = np.where(mask, TILTED, np.nan)
    assert fit_plane(spoilt, mask) == pytest.approx((3.0, 0.5, -0.25), abs=1e-12)


def test_equal_to_least_squares_on_other_axes():
    image = TILTED + np.random.default_rng(0).standard_normal(TILTED.shape)
    mask = np.random.default_rng(1).random(TILTED.shape) < 0.7
    terms = np.stack([np.ones(image.shape), ROWS, COLUMNS], -1)
    old = image - terms @ np.linalg.lstsq(terms[mask], image[mask], rcond=None)[0]
    np.testing.assert_allclose(subtract_plane(image, mask), old, atol=1e-12)


def test_subtracting_twice_changes_nothing():
    once = subtract_plane(np.random.default_rng(0).standard_normal((20, 25)))
    np.testing.assert_allclose(subtract_plane(once), once, atol=1e-13)


def test_a_polynomial_is_recovered_without_its_mean():
    v, u = (np.linspace(-1, 1, n) for n in (30, 41))
    image = 7 + 2 * np.multiply.outer(v, u) - 3 * v[:, None] ** 2
    mask = np.random.default_rng(1).random(image.shape) < 0.7
    powers = ((0, 1), (1, 0), (0, 2), (1, 1), (2, 0))
    surface = fit_polynomial(image, mask, powers)
    np.testing.assert_allclose(surface.coefficients, [0, 0, 0, 2, -3], atol=1e-12)
    np.testing.assert_allclose(surface.heights, image - image[mask].mean(), atol=1e-12)
