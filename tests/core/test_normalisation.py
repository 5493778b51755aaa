import math

import numpy as np
import pytest

from stm_experiments.core.images import ImageError
from stm_experiments.core.normalisation import denormalise, normalise_minmax, normalise_plane


def test_normalise_by_hand():
    x, affine = normalise_minmax(np.array([[1, 2], [3, 5]]))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, np.array([[-1, -0.5], [0, 1]], np.float32))
    assert affine == (2, 3, 0, 0)


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1e-10, 0), (1e-10, 5e-7), (3e5, -1e9)])
def test_normalise_inverts(scale, shift):
    image = np.random.default_rng(0).standard_normal((30, 40)) * scale + shift
    x, affine = normalise_minmax(image)
    assert x.min() == -1
    assert x.max() == 1
    back = denormalise(x, affine)
    assert back.dtype == np.float64
    np.testing.assert_allclose(back, image, rtol=0, atol=affine.scale * 1e-7 + abs(shift) * 1e-15)


def test_the_plane_alone_is_subtracted():
    rows, columns = np.mgrid[:40, :60]
    corrugation = 1e-11 * np.sin(2 * np.pi * columns / 6) * np.sin(2 * np.pi * rows / 8)
    tilt = 3e-11 * rows - 5e-11 * columns + 4e-8
    flat, _ = normalise_plane(corrugation)
    x, affine = normalise_plane(corrugation + tilt)
    # The fit removes the same, whatever the tilt is.
    np.testing.assert_allclose(x, flat, atol=1e-4)
    assert np.percentile(x, 1) == pytest.approx(-1, abs=1e-5)
    assert np.percentile(x, 99) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(denormalise(x, affine), corrugation + tilt, rtol=0, atol=1e-17)


def test_a_scar_does_not_swallow_the_corrugation():
    image = np.sin(np.arange(100 * 100) * 0.7).reshape(100, 100)
    x, _ = normalise_plane(image)
    image[50, 10:60] = 100.0
    scarred, _ = normalise_plane(image)
    assert scarred[:40].std() > 0.8 * x[:40].std()


def test_only_a_plane_is_an_error():
    rows, columns = np.mgrid[:20, :20]
    with pytest.raises(ImageError, match="nothing but a plane"):
        normalise_plane(2.0 * rows + 3.0 * columns)


def test_normalise_errors():
    with pytest.raises(ImageError, match=r"^image: constant"):
        normalise_minmax(np.ones((3, 3)))
    with pytest.raises(ImageError, match=r"^frame 7: 1 of 2 pixels are NaN"):
        normalise_minmax(np.array([[math.nan, 1]]), "frame 7")
    with pytest.raises(ValueError, match="expected one image"):
        normalise_minmax(np.arange(8.0).reshape(2, 2, 2))


def test_equal_to_the_formulas_of_version_0_1():
    image = np.random.default_rng(1).standard_normal((33, 47)).cumsum(0).cumsum(1)
    rows = np.arange(33.0)[:, None] - 16
    columns = np.arange(47.0)[None, :] - 23
    kept = np.ones(image.shape, dtype=bool)
    for _ in range(2):
        axes = [np.broadcast_to(axis, image.shape)[kept] for axis in (rows, columns)]
        terms = np.stack([*axes, np.ones(kept.sum())], axis=1)
        (row_slope, column_slope, _), *_ = np.linalg.lstsq(terms, image[kept], rcond=None)
        flat = image - row_slope * rows - column_slope * columns
        low, high = np.percentile(flat, (1, 99))
        kept = np.abs(flat - (low + high) / 2) <= high - low
    x, affine = normalise_plane(image)
    np.testing.assert_array_equal(x, ((flat - low) / ((high - low) / 2) - 1).astype(np.float32))
    half = (high - low) / 2
    assert affine == pytest.approx((half, low + half, row_slope, column_slope), rel=1e-12)
