import math

import numpy as np
import pytest
import torch

from stm_experiments.core.spectra import bragg_peaks, hann_power


def image_of(waves, shape=(96, 120)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = sum(a * np.cos(2 * np.pi * (u * rows + v * columns)) for a, u, v in waves)
    return torch.from_numpy(image + 0.01 * np.random.default_rng(0).standard_normal(shape))


def test_power_equals_numpy():
    image = image_of([(1.0, 0.1, 0.07)])
    window = np.hanning(97)[:-1, None] * np.hanning(121)[:-1]
    array = image.numpy()
    flat = (array - (array * window).sum() / window.sum()) * window
    old = np.abs(np.fft.fft2(flat)) ** 2
    np.testing.assert_allclose(hann_power(image), old, rtol=1e-9, atol=1e-9)
    window = np.hanning(96)[:, None] * np.hanning(120)
    flat = (array - (array * window).sum() / window.sum()) * window
    old = np.abs(np.fft.fft2(flat)) ** 2
    np.testing.assert_allclose(hann_power(image, periodic=False), old, rtol=1e-9, atol=1e-9)


def test_precision_is_that_of_the_image():
    assert hann_power(image_of([(1.0, 0.1, 0.07)]).float()).dtype == torch.float32


def test_level_does_not_matter():
    image = image_of([(1.0, 0.1, 0.07)])
    torch.testing.assert_close(hann_power(image + 5), hann_power(image), rtol=0, atol=1e-8)


def test_peaks_are_found_between_steps_strongest_first():
    waves = [(1.0, 0.1042, 0.0313), (0.5, -0.0617, 0.1571), (0.2, 0.201, -0.149)]
    peaks = bragg_peaks(hann_power(image_of(waves)), prominence=50, most=3)
    expected = [wave[1:] if wave[1] > 0 else (-wave[1], -wave[2]) for wave in waves]
    np.testing.assert_allclose(peaks.frequency, expected, atol=2e-4)
    assert (peaks.power.diff() < 0).all()
    sides = torch.tensor([96, 120])
    step = torch.remainder((peaks.frequency * sides).round(), sides).long()
    assert torch.equal(step, peaks.place)
    one = bragg_peaks(hann_power(image_of(waves)), prominence=50, most=3, weakest=0.1)
    assert len(one.place) == 2


def test_noise_and_constants_have_no_peaks():
    noise = torch.randn(128, 128, generator=torch.Generator().manual_seed(0))
    assert len(bragg_peaks(hann_power(noise), prominence=50, most=9).place) == 0
    assert len(bragg_peaks(hann_power(torch.ones(64, 64)), prominence=50, most=9).place) == 0


def test_what_is_constant_along_rows_is_no_peak_against_its_column():
    generator = torch.Generator().manual_seed(0)
    offsets = torch.randn(128, 1, generator=generator, dtype=torch.float64)
    image = offsets + 0.01 * torch.randn(128, 128, generator=generator, dtype=torch.float64)
    power = hann_power(image)
    assert len(bragg_peaks(power, prominence=30, most=9).place)
    assert not len(bragg_peaks(power, prominence=30, most=9, along_columns=True).place)


@pytest.mark.parametrize("shape", [(64, 64), (63, 80)])
def test_turning_the_image_turns_the_peaks(shape):
    waves = [(1.0, 0.13, 0.02)]
    peaks = bragg_peaks(hann_power(image_of(waves, shape)), prominence=50, most=1)
    turned = bragg_peaks(hann_power(image_of(waves, shape).T), prominence=50, most=1)
    assert math.dist(peaks.frequency[0], turned.frequency[0].flip(0)) < 1e-12
