"""The noise of images whose noise is known."""

import numpy as np
import pytest
import scipy
import torch

from stm_experiments.benchmarks.quality.surfaces.catalogue import SURFACES
from stm_experiments.core.noise import (
    correlated_noise,
    noise_levels,
    noise_sigma,
    noise_spectrum,
    sample_noise,
)

SIZE = 160
GROUNDS = ("empty", "kagome", "hexagonal_5_8px", "honeycomb_9_13px", "square_30_60px")
STEPPED = ("terraces", "half_steps")


def ground(name):
    """A surface whose corrugation is 1."""
    drawn = SURFACES[name].draw(np.random.default_rng(3), (SIZE, SIZE))
    return torch.from_numpy(drawn.heights)


def white_power(sigma):
    return torch.full((SIZE, SIZE // 2 + 1), sigma**2, dtype=torch.float64)


def pink_power(sigma):
    """1/f noise along the fast axis, independent from line to line, of mean square sigma^2."""
    fast = torch.fft.fftfreq(SIZE).abs().clamp(min=1 / SIZE).double()
    profile = 1 / fast
    return sigma**2 * (profile / profile.mean())[: SIZE // 2 + 1].expand(SIZE, -1)


def noise_of(power, seed=0):
    return sample_noise(power, SIZE, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sigma", [0.1, 3.0])
def test_noise_on_a_slope_is_measured(sigma):
    noise = np.random.default_rng(0).normal(0, sigma, (200, 200)).astype(np.float32)
    slope = np.linspace(0, 50, 200, dtype=np.float32)
    assert noise_sigma(noise + slope) == pytest.approx(sigma, rel=0.02)
    assert noise_sigma(np.zeros((2, 2), np.float32)) == 0.0


@pytest.mark.parametrize("width", [40, 41])
def test_noise_of_a_spectrum_has_that_spectrum(width):
    power = torch.linspace(1, 4, width // 2 + 1, dtype=torch.float64).expand(30, -1)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([sample_noise(power, width, generator) for _ in range(400)])
    mean = torch.fft.rfft2(drawn, norm="ortho").abs().square().mean((0, 1))
    torch.testing.assert_close(mean, power[0], rtol=0.05, atol=0)


@pytest.mark.parametrize("name", [*GROUNDS, *STEPPED])
@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.5])
def test_white_noise_is_measured_on_any_surface(name, sigma):
    image = ground(name) + noise_of(white_power(sigma))
    levels = noise_levels(image[None, None].float())[0] / sigma
    assert levels.min() > 0.75, levels  # the band of whole lines has two columns only
    assert levels.max() < 1.45, levels
    assert levels[2:].tolist() == pytest.approx([1, 1], rel=0.2)
    spectrum = noise_spectrum(image)
    assert 0.8 < (spectrum.mean() / sigma**2).sqrt() < 1.2
    assert spectrum.min() / sigma**2 > 0.5
    assert spectrum.median() / sigma**2 == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("name", ["empty", "kagome", "honeycomb_9_13px", "terraces"])
def test_slow_noise_is_measured_by_its_frequency(name):
    power = pink_power(0.2)
    ratio = noise_spectrum(ground(name) + noise_of(power)).mean(0) / power[0]
    assert (ratio[4:].log().abs() < np.log(1.8)).all(), ratio
    # Below the centre of the lowest band nothing is extrapolated: slow noise is underestimated.
    assert (ratio[1:4] < 2).all()
    assert (ratio[1:4] > 0.2).all()
    assert 0.8 < ratio[8:].mean() < 1.25


@pytest.mark.parametrize("width", [128, 160, 384])
@pytest.mark.parametrize("name", ["empty", "kagome", "terraces"])
def test_lines_that_are_offset_are_measured(name, width):
    generator = torch.Generator().manual_seed(4)
    offsets = 0.3 * torch.randn(SIZE, 1, generator=generator).double()
    noise = 0.05 * torch.randn(SIZE, width, generator=generator).double()
    surface = SURFACES[name].draw(np.random.default_rng(3), (SIZE, width))
    spectrum = noise_spectrum(torch.from_numpy(surface.heights) + offsets + noise)
    offset = (spectrum[3:-3, 0].mean() / width).sqrt()
    assert offset == pytest.approx(0.3, rel=0.35)
    assert spectrum[:, 4:].mean() == pytest.approx(0.05**2, rel=0.3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["half_steps_along_rows", "empty_terraces", "islands"])
def test_steps_along_the_lines_are_no_offsets(name, seed):
    drawn = SURFACES[name].draw(np.random.default_rng(seed), (SIZE, SIZE))
    spectrum = noise_spectrum(torch.from_numpy(drawn.heights) + noise_of(white_power(0.05)))
    assert (spectrum.mean() / 0.05**2).sqrt() < 1.2


def test_the_measure_follows_the_contrast():
    image = ground("kagome") + noise_of(white_power(0.1))
    one, twice = (noise_levels(factor * image[None, None].float()) for factor in (1, 2))
    torch.testing.assert_close(twice, 2 * one)
    torch.testing.assert_close(noise_spectrum(2 * image + 7), 4 * noise_spectrum(image))


@pytest.mark.parametrize("name", ["square_9px", "oblique", "lieb"])
def test_a_lattice_is_no_noise(name):
    assert noise_spectrum(ground(name)).mean().sqrt() < 0.001


def test_bars_and_steps_along_the_lines_are_no_noise():
    rows, columns = torch.meshgrid(torch.arange(192.0), torch.arange(256.0), indexing="ij")
    bar = 12 * ((rows - 100 - 3 * torch.sin(columns / 60)).abs() < 5)
    step = (rows > 40) * (1 + 0.3 * torch.cos(columns / 40))
    noise = 0.02 * torch.randn(192, 256, generator=torch.Generator().manual_seed(1))
    spectrum = noise_spectrum((bar + step + noise).double())
    assert spectrum.mean().sqrt() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("name", [*GROUNDS, *STEPPED])
@pytest.mark.parametrize("sigma", [0.01, 0.3])
def test_noise_of_smoothed_images_is_correlated_between_lines_and_white_noise_is_not(name, sigma):
    noise = np.random.default_rng(7).normal(0, sigma, (SIZE, SIZE))
    image = ground(name) + torch.from_numpy(noise)
    assert correlated_noise(image) == 0
    smoothed = scipy.ndimage.gaussian_filter(noise, 0.8)
    # The transfer function of the Gaussian at .17 cycles per px along rows, .4 along lines.
    expected = sigma * np.exp(-2 * (np.pi * 0.8) ** 2 * (0.17**2 + 0.4**2))
    found = correlated_noise(ground(name) + torch.from_numpy(smoothed))
    assert expected / 2 < found < 4 * expected


def test_lines_with_noise_of_their_own_are_not_correlated():
    rng = np.random.default_rng(8)
    pink = sample_noise(pink_power(0.3), SIZE, torch.Generator().manual_seed(0))
    offsets = torch.from_numpy(rng.normal(0, 0.3, (SIZE, 1)) + rng.normal(0, 0.05, (SIZE, SIZE)))
    for noise in (pink, offsets):
        assert correlated_noise(ground("kagome") + noise) == 0
