"""Checks and repairs of single images."""

import numpy as np
import pytest

from stm_experiments.core.images import ImageError, check_image, fill_nearest


def test_missing_pixels_get_their_nearest_neighbour():
    image = np.array([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]])
    mask = np.array([[True, True, False], [True, True, False]])
    np.testing.assert_array_equal(fill_nearest(image, mask), [[1, 2, 2], [3, 4, 4]])
    assert fill_nearest(image, np.ones((2, 3), bool)) is image


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((3, 3)), "^frame: constant, every pixel is 1"),
        (np.zeros((0, 4)), "^frame: empty"),
        (np.zeros((2, 2, 2)), "expected one image"),
        (np.array([[1.0, np.inf]]), "1 of 2 pixels"),
        (np.array([[1j, 2]]), "expected real numbers"),
    ],
)
def test_useless_images_are_refused(array, message):
    with pytest.raises(ImageError, match=message):
        check_image(array, "frame")


def test_integers_become_float64():
    assert check_image(np.array([[1, 2]], np.uint8), "frame").dtype == np.float64


ROWS, COLUMNS = np.mgrid[:64, :64]
HUM = np.cos(2 * np.pi * (COLUMNS / 9 + ROWS / 50))


@pytest.mark.parametrize("constant", [1.0, -3e-7, 1e6])
@pytest.mark.parametrize("share", [1e-16, 1e-12])
def test_what_rounding_leaves_is_no_data(constant, share):
    """Hum far below the resolution of any converter: measured by no door."""
    from stm_experiments.core.normalisation import normalise_plane
    from stm_experiments.lattice.fit import find_lattice
    from stm_experiments.lattice.point_defects import find_point_defects
    from stm_experiments.metrics.registration import register

    flat = constant * (1 + share * HUM)
    for image in (flat, flat + constant * (0.02 * ROWS - 0.01 * COLUMNS)):
        for measure in (
            normalise_plane,
            find_lattice,
            find_point_defects,
            lambda x: register(x, x),
        ):
            with pytest.raises(ValueError, match=r"constant|nothing but a plane"):
                measure(image)


def test_a_small_corrugation_on_a_large_offset_is_data():
    image = check_image(1e-6 + 1e-12 * HUM, "frame")
    assert np.ptp(image) > 1e-12
