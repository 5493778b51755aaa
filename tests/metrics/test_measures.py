"""Measures of patches with known answers."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from stm_experiments.metrics.measures import mse, noise_floor, patch_measures, ssim


def pair(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(shape, generator=generator) * 2 - 1
    return a, (a + 0.3 * torch.randn(shape, generator=generator)).clamp(-1, 1)


def skimage_ssim(a, b, window, data_range):
    return [
        structural_similarity(
            x.double().numpy(), y.double().numpy(), win_size=window, data_range=data_range
        )
        for x, y in zip(a[:, 0], b[:, 0], strict=True)
    ]


@pytest.mark.parametrize(("window", "data_range"), [(7, 2.0), (11, 1.0), (3, 2.0)])
@pytest.mark.parametrize("size", [(17, 17), (16, 23)])
def test_ssim_equals_scikit_image(window, data_range, size):
    a, b = pair(6, 1, *size)
    expected = skimage_ssim(a, b, window, data_range)
    np.testing.assert_allclose(ssim(a, b, window, data_range).numpy(), expected, atol=1e-6)


def test_ssim_survives_cancellation():
    # Nearly flat patches far from zero: in float32 the variance would be lost in mean^2.
    a, b = pair(4, 1, 17, 17)
    a, b = 1 - 1e-3 * (a + 1), 1 - 1e-3 * (b + 1)
    np.testing.assert_allclose(ssim(a, b).numpy(), skimage_ssim(a, b, 7, 2.0), atol=1e-6)


def test_ssim_of_constants_by_hand():
    # No variance: S = (2 ab + c1) / (a^2 + b^2 + c1), with c1 = (.01 * 2)^2.
    a, b = torch.full((1, 1, 9, 9), 0.5), torch.full((1, 1, 9, 9), -0.25)
    expected = (2 * 0.5 * -0.25 + 4e-4) / (0.5**2 + 0.25**2 + 4e-4)
    assert ssim(a, b).item() == pytest.approx(expected, abs=1e-6)


def test_ssim_is_one_for_equal_symmetric_and_independent_of_the_batch():
    a, b = pair(3000, 1, 11, 11)  # more than one chunk
    assert torch.equal(ssim(a, a), torch.ones(3000))
    assert torch.equal(ssim(a, b), ssim(b, a))
    assert torch.equal(ssim(a, b)[1234:1235], ssim(a[1234:1235], b[1234:1235]))
    assert ssim(a[:0], b[:0]).shape == (0,)


@pytest.mark.parametrize(("window", "data_range"), [(7, 2.0), (11, 1.0)])
def test_ssim_equals_the_cropped_map_of_torchmetrics(window, data_range):
    """Whose covariances are divided by n: K2 makes up for it."""
    a, b = (x.double() for x in pair(3, 1, 17, 20))
    _, similarity = structural_similarity_index_measure(
        a,
        b,
        gaussian_kernel=False,
        kernel_size=window,
        data_range=data_range,
        k2=0.03 * math.sqrt(1 - 1 / window**2),
        reduction="none",
        return_full_image=True,
    )
    edge = window // 2
    expected = similarity[..., edge:-edge, edge:-edge].mean((1, 2, 3))
    torch.testing.assert_close(ssim(a, b, window, data_range), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("window", [1, 8, 13])
def test_ssim_window_must_be_odd_and_fit(window):
    with pytest.raises(ValueError, match="SSIM window"):
        ssim(torch.zeros(1, 1, 11, 20), torch.zeros(1, 1, 11, 20), window)


def test_mse_by_hand():
    a = torch.zeros(2, 1, 2, 2)
    b = torch.tensor([[[[0.2, 0.2], [0.2, 0.2]]], [[[1.0, 0.0], [0.0, 1.0]]]])
    torch.testing.assert_close(mse(a, b), torch.tensor([0.04, 0.5]))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_mse_is_that_of_each_patch(count):
    a, b = pair(count, 1, 17, 17)
    assert torch.equal(mse(a, b), (a - b).square().flatten(1).mean(1))


@pytest.mark.parametrize("measure", [mse, ssim])
def test_shapes_must_agree(measure):
    with pytest.raises(ValueError, match="Cannot compare"):
        measure(torch.zeros(2, 1, 8, 8), torch.zeros(1, 1, 8, 8))


def test_noise_floor():
    assert noise_floor(0.005, 289) == pytest.approx(1.384e-4, rel=1e-3)
    assert noise_floor(0.005, 289, degrees_of_freedom=11) == pytest.approx(1.903e-4, rel=1e-3)


def test_patch_measures_leaves_out_what_cannot_be_had():
    a, b = pair(2, 1, 17, 17)
    assert list(patch_measures(a, b, a)) == [
        "mse_noisy",
        "mse_clean",
        "ssim_noisy",
        "ssim_clean",
        "ssim_paper",
    ]
    assert list(patch_measures(a, b, None)) == ["mse_noisy", "ssim_noisy", "ssim_paper"]
    a, b = pair(2, 1, 8, 17)
    assert "ssim_paper" not in patch_measures(a, b, a)
    assert list(patch_measures(a[..., :5], b[..., :5], None)) == ["mse_noisy"]
