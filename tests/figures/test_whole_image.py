import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from stm_experiments.figures.whole_image import whole_image
from stm_experiments.restoration.whole_atoms import UncertainAtoms


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
    assert "intensity (arb. units)" in drawn_texts(figure)
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


def test_gaps_are_hatched_and_told(drawn_texts):
    before = np.random.default_rng(0).random((40, 60))
    complete = whole_image(before, before, "", None, "scan")
    before[30:] = np.nan
    figure = whole_image(before, before, "", None, "scan")
    assert any("Hatched: not measured." in text for text in drawn_texts(figure))

    def hatched(figure):
        return [
            sum(isinstance(p, Rectangle) and bool(p.get_hatch()) for p in axes.patches)
            for axes in figure.axes[:3]
        ]

    assert hatched(figure) == [1, 1, 1]
    assert hatched(complete) == [0, 0, 0]


def test_clean_and_uncertainty_get_panels_of_their_own(drawn_texts):
    rng = np.random.default_rng(0)
    before, clean = 1e-10 * rng.random((2, 40, 60))
    doubt = np.full((40, 60), 2e-12)
    figure = whole_image(before, before, "m", 0.1, "a\nb", clean=clean, uncertainty=doubt)
    texts = drawn_texts(figure)
    assert {"clean, scaled to before", "uncertainty of after", "uncertainty of height (pm)"} <= set(
        texts
    )
    truth, uncertainty = (axes.images[0] for axes in figure.axes[3:5])
    assert truth.get_clim() == figure.axes[0].images[0].get_clim()
    np.testing.assert_allclose(uncertainty.get_array(), 2.0)
    only = whole_image(before, before, "m", 0.1, "scan", uncertainty=doubt)
    texts = drawn_texts(only)
    assert {"uncertainty of after", "spectrum before", "spectrum after"} <= set(texts)
    assert all(axes.axison and axes.images for axes in only.axes[:6])  # no empty panel
    with pytest.raises(ValueError, match="shapes differ"):
        whole_image(before, before, "m", 0.1, "x", clean=clean[1:])


def test_pixels_that_are_not_square(drawn_texts):
    image = np.random.default_rng(0).random((50, 100))
    figure = whole_image(image, image, "", (0.2, 0.1), "scan")
    drawn_texts(figure)
    first, *_, spectrum = figure.axes[:4]
    assert first.get_aspect() == pytest.approx(2)
    left, right, bottom, top = spectrum.images[0].get_extent()
    assert (right - left, abs(top - bottom)) == pytest.approx((1 / 0.1, 1 / 0.2))
    (bar,) = (a for a in first.artists if isinstance(a, AnchoredSizeBar))
    assert bar.size_bar.get_children()[0].get_width() * 0.1 == pytest.approx(
        float(bar.txt_label.get_text().split()[0])
    )


def test_the_spectrum_is_shown_up_to_where_it_ends(drawn_texts):
    columns = np.mgrid[:200, :200][1]
    image = np.cos(2 * np.pi * columns / 20)
    figure = whole_image(image, image, "", None, "wave")
    drawn_texts(figure)
    left, right = figure.axes[3].get_xlim()
    assert 0.05 < right < 0.15
    assert left == -right


def test_a_large_image_is_drawn_as_means_of_blocks(drawn_texts):
    rows, columns = np.mgrid[:600, :2300]
    before = np.cos(2 * np.pi * columns / 20) + 0.001 * rows
    before[590:] = np.nan
    before[0, 0] = np.nan
    large = whole_image(before, before, "", 0.1, "scan")
    assert any("the mean of 3 x 3 px" in text for text in drawn_texts(large))
    drawn = large.axes[0].images[0].get_array().filled(np.nan)
    assert drawn.shape == (200, 767)
    np.testing.assert_allclose(drawn[0, 0], np.nanmean(before[:3, :3]))
    np.testing.assert_allclose(
        drawn[1, [1, -1]], [before[3:6, c].mean() for c in (slice(3, 6), slice(-2, None))]
    )
    assert np.isnan(drawn[197:]).all()
    (bar,) = (a for a in large.axes[0].artists if isinstance(a, AnchoredSizeBar))
    width = bar.size_bar.get_children()[0].get_width()
    assert width * 0.3 == pytest.approx(float(bar.txt_label.get_text().split()[0]))
    left, right, *_ = large.axes[3].images[0].get_extent()
    assert right - left == pytest.approx(1 / 0.1)  # the spectrum is that of whole px
    small = whole_image(before[:300, :400], before[:300, :400], "", 0.1, "scan")
    assert not any("Large image" in text for text in drawn_texts(small))


def test_few_rows_are_not_interpolated(drawn_texts):
    image = np.random.default_rng(0).random((8, 512))
    figure = whole_image(image, image, "m", (4.0, 0.0625), "line")
    drawn_texts(figure)
    assert [axes.images[0].get_interpolation() for axes in figure.axes[:3]] == ["nearest"] * 3


def test_marks_that_are_not_drawn_are_not_explained(drawn_texts):
    image = np.random.default_rng(0).random((80, 80))
    none, place = np.zeros((0, 2)), np.array([[5.0, 6.0]])

    def caption(invented, lost):
        atoms = UncertainAtoms(invented, lost, 30, None)
        return " ".join(drawn_texts(whole_image(image, image, "", None, "", uncertain_atoms=atoms)))

    for invented, lost in ((none, none), (place, none), (none, place)):
        text = caption(invented, lost)
        assert ("Circles:" in text, "Crosses:" in text) == (len(invented) > 0, len(lost) > 0)


def test_a_few_long_rows_fill_their_panels_and_say_that_they_are_not_to_scale(drawn_texts):
    image = np.random.default_rng(0).normal(size=(8, 600))
    figure = whole_image(image, image, "m", 0.1, "rows")
    texts = drawn_texts(figure)
    assert "before, stretched: not to scale" in texts
    sides = figure.axes[0].get_window_extent()
    assert sides.height > 0.2 * sides.width
    square = drawn_texts(whole_image(image[:, :8], image[:, :8], "m", 0.1, "square"))
    assert "stretched" not in " ".join(square)
