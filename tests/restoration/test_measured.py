"""What counts as measured: masks, impossible values, types of arrays, sizes of pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stm_experiments.io.scan import Scan, ScanError
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.models.interfaces import Card
from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.measured import as_scan


@pytest.fixture
def image():
    noise = np.random.default_rng(0).standard_normal((40, 48))
    return 1e-11 * noise + 1e-10 * np.sin(np.arange(48) / 2)


def test_the_mask_of_a_masked_array_is_kept(image):
    mask = np.zeros(image.shape, bool)
    mask[3:6, 7:20] = True
    masked = np.ma.array(np.where(mask, 1e-6, image), mask=mask)
    result = denoise(masked)
    np.testing.assert_array_equal(result.mask, ~mask)
    # What lies under the mask changes nothing.
    other = denoise(np.ma.array(np.where(mask, -5.0, image), mask=mask))
    np.testing.assert_array_equal(result.data, other.data)
    assert as_scan(np.ma.array(image)).mask.all()
    with pytest.raises(ScanError, match="all are masked"):
        as_scan(np.ma.masked_all((5, 5)))


@pytest.mark.parametrize("value", [1e30, -1e300, 1e-2])
@pytest.mark.parametrize("as_array", [True, False])
def test_an_absurd_pixel_is_not_measured_and_the_history_says_so(image, value, as_array):
    expected = denoise(np.where(np.arange(image.size).reshape(image.shape) == 250, np.nan, image))
    image.flat[250] = value
    scan = image if as_array else Scan(image, np.ones(image.shape, bool), "m", None, "Z")
    result = denoise(scan)
    assert result.mask.sum() == image.size - 1
    assert not result.mask.flat[250]
    assert result.history[0].startswith("1 pixel counted as not measured")
    np.testing.assert_allclose(result.data[result.mask], expected.data[result.mask], rtol=1e-9)


def test_spikes_that_can_be_recorded_stay_measured(image):
    image.flat[250] = 1e-6
    assert as_scan(image).mask.all()
    assert as_scan(image).history == ()
    sparse = np.zeros((40, 40))  # without a range there is no measure of absurd
    sparse[3, 3] = 1.0
    assert as_scan(sparse).mask.all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_tensors_of_every_precision(image, dtype):
    tensor = torch.from_numpy(1e10 * image).to(dtype)
    np.testing.assert_array_equal(as_scan(tensor).data, tensor.double().numpy())


@pytest.mark.parametrize("size", [(0.0, 0.0), (-1.0, 1.0), (1.0, float("nan")), (np.inf, 1.0)])
def test_impossible_sizes_of_pixels_are_refused(image, size):
    scan = Scan(image, np.ones(image.shape, bool), "m", size, "Z")
    for work in (denoise, find_lattice):
        with pytest.raises(ScanError, match="size of a pixel is two finite numbers above 0"):
            work(scan)
    with pytest.raises(ScanError, match="size of a pixel"):
        find_lattice(replace(scan, pixel_size=None), pixel_nm=size)


@pytest.mark.parametrize("columns", [1, 2])
def test_lines_too_short_for_stripes_are_refused(columns):
    image = np.random.default_rng(0).standard_normal((64, columns))
    with pytest.raises(ValueError, match=f"at least 3 px, and the image has lines of {columns} px"):
        denoise(image, "destripe")
    assert np.isfinite(denoise(image.T, "destripe").data).all()
    assert np.isfinite(denoise(image).data).all()


@pytest.mark.parametrize("calibration", [float("nan"), float("inf"), 0.0, -1.0, None, "1"])
def test_a_card_with_an_impossible_calibration_is_refused(calibration):
    with pytest.raises(ValueError, match="calibration of a model's card is a finite number"):
        Card("Denoiser", {}, None, calibration=calibration)
