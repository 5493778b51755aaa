"""The Wiener filter of an image's own patches: equal to its definition, and what it keeps."""

import numpy as np
import pytest
import torch

from stm_experiments.benchmarks.quality.surfaces.catalogue import SURFACES
from stm_experiments.models import PatchPCA, PatchWiener

LATTICES = ("kagome", "oblique", "honeycomb_9_13px", "motif")


def lattice(name, size=128, seed=0):
    """A lattice whose corrugation is 1, [1, 1, H, W]."""
    drawn = SURFACES[name].draw(np.random.default_rng(seed), (size, size))
    return torch.from_numpy(drawn.heights).float()[None, None]


def noisy(clean, sigma, seed=0):
    return clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))


def white_spectrum(image, sigma):
    return torch.full((image.shape[0], image.shape[1] // 2 + 1), sigma**2, dtype=torch.float64)


def gain(output, image, clean):
    """Improvement of the mean squared error, dB."""
    before, after = ((x - clean).square().mean() for x in (image, output))
    return float(10 * (before / after).log10())


def written_out(image, sigma, rows, columns, least=2.0):
    """The filter as its docstring defines it, pixel by pixel and patch by patch."""
    level, n = image.mean(), rows * columns
    heights = image - level
    pixels = [(row, column) for row in range(rows) for column in range(columns)]
    covariance = np.zeros((n, n))
    for i, (row, column) in enumerate(pixels):
        for j, (other_row, other_column) in enumerate(pixels):
            down, right = other_row - row, other_column - column
            one = heights[max(0, down) :, max(0, right) :]
            one = one[: len(heights) - abs(down), : heights.shape[1] - abs(right)]
            other = heights[max(0, -down) :, max(0, -right) :][: len(one), : one.shape[1]]
            covariance[i, j] = (one * other[: len(one), : one.shape[1]]).mean()
    values, vectors = np.linalg.eigh(covariance / sigma**2)
    kept = values > least
    weights = vectors[:, kept] * (1 - 1 / values[kept]) @ vectors[:, kept].T
    total, cover = np.zeros_like(heights), np.zeros_like(heights)
    for top in range(len(heights) - rows + 1):
        for left in range(heights.shape[1] - columns + 1):
            place = (slice(top, top + rows), slice(left, left + columns))
            total[place] += (weights @ heights[place].ravel()).reshape(rows, columns)
            cover[place] += 1
    return total / cover + level


@pytest.mark.parametrize("sides", [(5, 5), (3, 7)])
@pytest.mark.parametrize("shape", [(48, 40), (17, 40)])
def test_it_is_the_filter_of_each_patch(sides, shape):
    image = noisy(lattice("oblique", 64), 0.2)[0, 0, : shape[0], : shape[1]].double()
    fast = PatchWiener(*sides).filtered(image, white_spectrum(image, 0.2))
    slow = written_out(image.numpy(), 0.2, *sides)
    np.testing.assert_allclose(fast.numpy(), slow, rtol=0, atol=1e-5)


def test_without_noise_nothing_changes():
    image = lattice("kagome")[0, 0]
    none = torch.zeros_like(white_spectrum(image, 1.0))
    assert torch.equal(PatchWiener().filtered(image, none), image)
    almost = PatchWiener().filtered(image, white_spectrum(image, 1e-4))
    assert (almost - image).square().mean().sqrt() < 3e-3  # of a corrugation of 1


def test_a_small_image_stays_as_it_is():
    image = noisy(lattice("kagome"), 0.1)[0, 0, :30]
    assert torch.equal(PatchWiener(17).filtered(image, white_spectrum(image, 0.1)), image)


@pytest.mark.parametrize("name", LATTICES)
def test_bragg_peaks_keep_their_height(name):
    clean = lattice(name)
    output = PatchWiener()(noisy(clean, 0.15))
    taper = torch.hann_window(128)
    waves = [
        torch.fft.rfft2((image - image.mean())[0, 0] * taper[:, None] * taper)
        for image in (output, clean)
    ]
    power = waves[1].abs()
    peaks = power > 0.3 * power.max()
    ratio = (waves[0] / waves[1])[peaks].abs()
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert ratio.max() < 1.1


@pytest.mark.parametrize("sigma", [0.05, 0.3])
@pytest.mark.parametrize("name", LATTICES)
def test_it_is_as_good_as_the_best_number_of_components(name, sigma):
    clean = lattice(name)
    image = noisy(clean, sigma)
    best = max(gain(PatchPCA(number)(image), image, clean) for number in (4, 8, 16, 32, 64))
    assert gain(PatchWiener()(image), image, clean) > best - 0.3


def test_noise_that_is_slow_along_the_lines_is_told_from_the_lattice():
    clean = lattice("kagome")[0, 0].double()
    fast = torch.fft.rfftfreq(128).double().clamp(min=1 / 128)
    spectrum = (0.01 * 0.5 / fast).expand(128, -1)
    waves = torch.fft.rfft2(torch.randn(128, 128, generator=torch.Generator().manual_seed(1)))
    image = clean + torch.fft.irfft2(waves * spectrum.sqrt(), (128, 128))
    right = PatchWiener().filtered(image, spectrum)
    white = PatchWiener().filtered(image, white_spectrum(image, float(spectrum.mean()) ** 0.5))
    assert gain(right, image, clean) > gain(white, image, clean) + 1


@pytest.mark.parametrize("arguments", [{"rows": 1}, {"columns": 0}, {"least": 0.5}])
def test_numbers_without_sense_are_refused(arguments):
    with pytest.raises(ValueError, match="at least"):
        PatchWiener(**arguments)
