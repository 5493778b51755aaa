import math

import pytest
import torch
from scipy import ndimage
from torch.nn.functional import conv2d

from stm_experiments.core.blur import gaussian_blur, gaussian_sum

IMAGES = torch.randn(3, 1, 24, 31, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("deviation", [0.4, 1.5, 3.0])
def test_blur_equals_scipy(deviation):
    expected = ndimage.gaussian_filter(
        IMAGES.numpy(),
        (0, 0, deviation, deviation),
        mode="nearest",
        truncate=max(1, math.ceil(4 * deviation)) / deviation,
    )
    torch.testing.assert_close(gaussian_blur(IMAGES, deviation), torch.from_numpy(expected))


def test_blur_keeps_constants_and_the_mean_inside():
    torch.testing.assert_close(gaussian_blur(torch.ones(1, 1, 9, 9), 2.0), torch.ones(1, 1, 9, 9))


def test_sums_of_a_constant_are_those_of_the_whole_gaussian():
    sums = gaussian_sum(torch.ones(2, 1, 20, 20), 3.0)
    kernel = torch.exp(-0.5 * (torch.arange(-6, 7) / 3.0) ** 2)
    torch.testing.assert_close(sums, torch.full_like(sums, float(kernel.sum() ** 2)))


def test_sums_equal_the_formula_of_version_0_1():
    half = 6
    kernel = torch.exp(-0.5 * (torch.arange(-half, half + 1) / 3.0) ** 2)

    def sums(values):
        down = conv2d(values, kernel.view(1, 1, -1, 1), padding=(half, 0))
        return conv2d(down, kernel.view(1, 1, 1, -1), padding=(0, half))

    cover = sums(torch.ones(1, 1, 24, 31)) / kernel.sum() ** 2
    assert torch.equal(gaussian_sum(IMAGES, 3.0), sums(IMAGES) / cover)
