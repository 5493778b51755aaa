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
