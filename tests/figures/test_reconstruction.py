import numpy as np
import pytest
import torch
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from skimage.metrics import structural_similarity

from stm_experiments.figures import reconstruction_grid, whole_image


def patches(seed, count=3):
    return torch.rand(count, 1, 17, 17, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def scores(name, one, other):
    mse = torch.mean((one - other) ** 2).item()
    pair = [patch[0].double().numpy() for patch in (one, other)]
    ssim = structural_similarity(*pair, data_range=2, win_size=7)
    return f"vs {name}: MSE {mse:.4f}, SSIM {ssim:.3f}"


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
    assert "vs noisy: MSE 0.0000, SSIM 1.000" in texts


def test_grid_errors():
    with pytest.raises(ValueError, match="shapes differ"):
        reconstruction_grid(patches(0), None, None, patches(0, 2), ["sc"] * 3)
    with pytest.raises(ValueError, match="2 labels"):
        reconstruction_grid(patches(0), None, None, patches(1), ["sc"] * 2)


@pytest.mark.parametrize("shape", [(60, 60), (40, 120), (120, 41)])
def test_whole_image_in_picometres(shape, drawn_texts):
    rng = np.random.default_rng(0)
    before = 1.234e-7 + 1e-10 * rng.random(shape)
    after = before + 1e-12
    figure = whole_image(before, after, "m", 0.05, "Si(111) $7x7$.sxm")
    texts = drawn_texts(figure)
    assert {"height (pm)", "change of height (pm)", "spatial frequency along a row (1/nm)"} <= set(
        texts
    )
    first, last, residual, spectrum = (axes.images[0] for axes in figure.axes[:4])
    np.testing.assert_allclose(np.ptp(first.get_array()), np.ptp(before) * 1e12, rtol=1e-6)
    np.testing.assert_allclose(last.get_array() - first.get_array(), 1.0, atol=1e-3)
    np.testing.assert_allclose(residual.get_array(), 1.0, atol=1e-3)
    assert residual.get_clim()[0] == -residual.get_clim()[1]
    assert first.get_clim() == last.get_clim()
    assert first.get_clim()[0] == 0  # counted from the lowest shown height
    (bar,) = (a for a in figure.axes[0].artists if isinstance(a, AnchoredSizeBar))
    number, unit = bar.txt_label.get_text().split()
    assert unit == "nm"
    width = bar.size_bar.get_children()[0].get_width()
    assert width * 0.05 == pytest.approx(float(number))
    left, right, bottom, top = spectrum.get_extent()
    assert right - left == pytest.approx(1 / 0.05)  # twice the Nyquist frequency
    assert abs(top - bottom) == pytest.approx(1 / 0.05)


def test_spectrum_peaks_at_the_wave_on_each_side(drawn_texts):
    rows, columns = np.mgrid[:64, :96]
    before = np.cos(2 * np.pi * (columns / 12 + rows / 16))
    after = 0.1 * before
    figure = whole_image(before, after, "", None, "wave")
    assert "height (arb. units)" in drawn_texts(figure)
    image = figure.axes[3].images[0]
    power = np.asarray(image.get_array())
    left, right, bottom, top = image.get_extent()
    x = left + (np.arange(96) + 0.5) * (right - left) / 96
    y = top + (np.arange(64) + 0.5) * (bottom - top) / 64
    for side, sign, level in ((x < 0, -1, 0.0), (x > 0, 1, -20.0)):
        part = np.where(side, power, -np.inf)
        row, column = np.unravel_index(part.argmax(), part.shape)
        assert (x[column], y[row]) == pytest.approx((sign / 12, sign / 16))
        assert part.max() == pytest.approx(level, abs=1e-6)  # a tenth of the height: -20 dB


def test_unscanned_rows_scars_and_identity(drawn_texts):
    before = np.random.default_rng(0).normal(size=(50, 50))
    before[3] = 1000.0  # a scar may not take the contrast (2 % of the rows, but one sided)
    before[40:] = np.nan
    figure = whole_image(torch.tensor(before), torch.tensor(before), "V", None, "unfinished")
    drawn_texts(figure)
    assert np.isfinite(np.asarray(figure.axes[3].images[0].get_array())).all()
    with pytest.raises(ValueError, match="shapes differ"):
        whole_image(before, before[1:], "m", None, "x")


@pytest.mark.parametrize(
    ("scale", "unit", "shown"),
    [(5e-10, "A", "current (pA)"), (3e-8, "m", "height (nm)"), (0.2, "V", "voltage (mV)")],
)
def test_units_get_the_fitting_prefix(scale, unit, shown):
    image = scale * np.random.default_rng(0).random((20, 20))
    figure = whole_image(image, image, unit, None, "scan")
    assert shown in [axes.get_ylabel() for axes in figure.axes]
