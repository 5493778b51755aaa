import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from stm_experiments.figures.reconstruction_grid import reconstruction_grid


def patches(seed, count=3):
    return torch.rand(count, 1, 17, 17, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def scores(name, one, other):
    mse = torch.mean((one - other) ** 2).item()
    pair = [patch[0].double().numpy() for patch in (one, other)]
    ssim = structural_similarity(*pair, data_range=2, win_size=7)
    return f"vs {name}: MSE {mse:.3g}, SSIM {ssim:.3f}"


def test_grid_prints_the_scores_of_what_it_shows(drawn_texts):
    noisy, clean, first, final = (patches(seed) for seed in range(4))
    labels = ["simple cubic", "bcc", "hexagonal 1"]
    figure = reconstruction_grid(noisy, clean, first, final, labels)
    texts = drawn_texts(figure)
    names = ["noisy (input)", "clean", "first epoch", "final", "residual"]
    assert {*labels, *names} <= set(texts)
    grid = np.array(figure.axes[:15]).reshape(3, 5)
    assert [axes.get_title() for axes in grid[0]] == names
    for index, row in enumerate(grid):
        assert row[0].get_ylabel() == labels[index]
        shown = (noisy, clean, first, final, final - noisy)
        for axes, images in zip(row, shown, strict=True):
            np.testing.assert_allclose(axes.images[0].get_array(), images[index, 0], atol=1e-6)
        assert row[0].get_xlabel() == scores("clean", noisy[index], clean[index])
        for axes, images in ((row[2], first), (row[3], final)):
            expected = [
                scores(name, images[index], other[index])
                for name, other in (("noisy", noisy), ("clean", clean))
            ]
            assert axes.get_xlabel().splitlines() == expected
        low, high = row[4].images[0].get_clim()
        assert low == -high
        assert high == pytest.approx((final - noisy).abs().max().item())


def test_grid_without_clean_and_first(drawn_texts):
    noisy, final = patches(0, 12), patches(1, 12)
    figure = reconstruction_grid(noisy, None, None, final, ["sc"] * 12, most=2)
    texts = drawn_texts(figure)
    assert sum(text.startswith("vs ") for text in texts) == 2
    assert sum(text.startswith("vs clean") for text in texts) == 0
    assert any("first 2 of 12" in text.replace("\n", " ") for text in texts)


def test_a_diverged_network_still_gets_its_picture(drawn_texts):
    noisy = patches(0, 1)
    texts = drawn_texts(reconstruction_grid(noisy, None, noisy, noisy * float("nan"), ["sc"]))
    assert "vs noisy: MSE nan, SSIM nan" in texts
    assert "vs noisy: MSE 0, SSIM 1.000" in texts


def test_grid_errors():
    with pytest.raises(ValueError, match="shapes differ"):
        reconstruction_grid(patches(0), None, None, patches(0, 2), ["sc"] * 3)
    with pytest.raises(ValueError, match="2 labels"):
        reconstruction_grid(patches(0), None, None, patches(1), ["sc"] * 2)
